"""Which of Snakemake's own messages are shown, and in which words and characters."""

import codecs
import logging
import os
import re

NOTHING = "Nothing to be done"  # how Snakemake's message begins
NOISE = re.compile(  # the failed job has its own line
    r"Exiting because a job execution failed|Job failed, going on|At least one job did not complete"
    r"|^RuleException:\s+CalledProcessError|^Complete log|^\s*$"
)
LOCKED = "Directory cannot be locked. Please make sure"
NO_RULE = re.compile(r"No rule to produce (.*) \(if you use input")

ASCII = {**dict.fromkeys("“”", '"'), "’": "'", "×": "x", "−": "-", "–": "-", "↑": "up", "↓": "down", "⚠": "!"}


def _plain_characters(error: UnicodeError) -> tuple[str, int]:
    """For terminals without Unicode: see `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error("triptych", _plain_characters)


def concerns_user(record: logging.LogRecord) -> bool:
    """Whether one of Snakemake's messages that belong to no job is shown."""
    message = record.getMessage()
    important = record.levelno >= logging.WARNING or message.startswith(NOTHING)
    return important and not NOISE.search(message)


def reword(record: logging.LogRecord) -> None:
    """Say in the user's words that the config defines no result of this name, or that a folder is locked."""
    if unknown := NO_RULE.search(record.getMessage()):
        record.msg = (
            f"triptych: error: {unknown[1]} is no result of this study: look for a mistake in its name, "
            "or for a config file that is missing from the command"
        )
        record.args = ()
    elif LOCKED in record.getMessage():
        record.msg = (
            f"triptych: error: {os.getcwd()}: another Snakemake makes the same results here; wait until it "
            "ends, or, if none is running, run the same command with --unlock and then again without it"
        )
        record.args = ()
