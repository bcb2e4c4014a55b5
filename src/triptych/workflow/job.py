"""The frame of all workflow scripts: log, threads, GPUs, wall time, record of the outputs, and failures."""

import faulthandler
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.workflow.errors import TriptychError, file_problem, is_out_of_memory, with_absolute_paths
from triptych.workflow.files import remove_temporaries
from triptych.workflow.gpus import claim_gpus, hide_gpus
from triptych.workflow.locks import locked
from triptych.workflow.machine_memory import memory_limit
from triptych.workflow.parent import end_with_snakemake
from triptych.workflow.plugins import in_user_module
from triptych.workflow.provenance import provenance
from triptych.workflow.records import lock_path, remove_record, write_record
from triptych.workflow.storage import enter_local_copies

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

log = logging.getLogger("triptych")

LOG_ONLY = "TRIPTYCH_LOG_ONLY"  # set by `snakemake_logger_plugin_triptych`, which shows what is in the logs
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Job:
    """The running job: its start time, the digest of its code, and the warnings in its log."""

    def __init__(self, code: str) -> None:
        self.began = time.monotonic()
        self.code_digest = code
        self.warnings: list[str] = []

    def provenance(self, *, recipe: Any, seed: int | None = None, **facts: Any) -> dict[str, Any]:
        """`provenance` with this job's wall time, unless given, its code digest and all its warnings."""
        facts.setdefault("wall_seconds", time.monotonic() - self.began)
        return provenance(
            recipe=recipe, seed=seed, code=self.code_digest[:16], warnings=self.warnings, **facts
        )


class _KeepWarnings(logging.Handler):
    """Keeps warnings for the page, but not those that are `passing`: true only for the moment."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING and not getattr(record, "passing", False):
            self.warnings.append(record.getMessage())


class _NoProgressOnTerminal(logging.Filter):
    """On a terminal a bar shows progress; the plain lines are for the log file."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (getattr(record, "progress", False) and sys.stderr.isatty())


@contextmanager
def job(snakemake: "Snakemake") -> Iterator[Job]:
    """Run the body of a workflow script.

    Log lines go to the terminal and to the rule's `log:` file. A job with a `gpu` resource whose recipe names
    no particular GPU reserves as many as the recipe's `gpus` (see `claim_gpus`); if that resource is 0,
    device `auto` is not CUDA. A job with tensors logs which compiled kernels it uses. The files that the job
    wrote are recorded (see `records`), and what an earlier, killed process left of them is removed. Another
    process that still works on them is waited for. A `TriptychError`, a full disk or exhausted memory ends
    the job with one clear line and exit code 1, and so does an exception in a user's module; anything else
    is a defect and keeps its traceback. The job ends with the Snakemake that started it.
    """
    log.handlers = [logging.StreamHandler()]
    with _one_line_errors(snakemake.rule):
        enter_local_copies(snakemake)
        _start_log(Path(snakemake.log[0]), snakemake.rule)
        _end_by_exceptions()
        end_with_snakemake()
        _choose_hardware(snakemake)
        with locked(lock_path(snakemake.output), f"{snakemake.rule} ({snakemake.output[0]})"):
            for output in snakemake.output:
                remove_temporaries(Path(output))
            remove_record(snakemake.output)
            running = Job(snakemake.params.get("code", ""))
            log.addHandler(_KeepWarnings(running.warnings))
            yield running
            write_record(snakemake.output)
        log.info("done")


def _start_log(path: Path, rule: str) -> None:
    """Log to a file and, unless that shows the whole study, to the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("w", encoding="utf-8")
    to_file = logging.StreamHandler(stream)
    log.handlers = [to_file]
    if os.environ.get(LOG_ONLY):  # whatever libraries print belongs to the log, too
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    else:
        to_terminal = logging.StreamHandler()
        to_terminal.addFilter(_NoProgressOnTerminal())
        to_terminal.setFormatter(logging.Formatter(f"[{rule}] %(message)s"))
        log.addHandler(to_terminal)
    faulthandler.enable(to_file.stream)  # a crash in a compiled library is in the log, too
    log.setLevel(logging.INFO)
    log.propagate = False
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))


def _end_by_exceptions() -> None:
    """Signals end the job by an exception instead of at once: temporary files are removed."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def _choose_hardware(snakemake: "Snakemake") -> None:
    """Set threads, GPUs and kernels of a job with tensors; log what it has."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(snakemake.threads)
        recipe = snakemake.params.get("recipe", {})
        if recipe.get("device") in ("auto", "cuda"):
            # gpus of the recipe, not the resource: Snakemake caps it at the profile's number
            if snakemake.resources.get("gpu", 0):
                claim_gpus(recipe.get("gpus", 1), torch.cuda.device_count())
            elif recipe["device"] == "auto":  # compute.gpus is 0: cores alone limit the number of such jobs
                hide_gpus()
        from triptych.kernels import registry

        registry.configure(snakemake.config["compute"]["kernels"])
        log.info("kernels: %s", registry.describe())
    log.info("memory: %.1f GB", memory_limit() / 1e9)


@contextmanager
def _one_line_errors(rule: str) -> Iterator[None]:
    try:
        yield
    except SystemExit:
        log.info("stopped")
        raise
    except TriptychError as error:
        _fail(str(error))
    except OSError as error:
        if (problem := file_problem(error, rule)) is not None:
            _fail(problem)
        _crash(error)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(
                f"out of memory in {rule}; use a smaller batch_size, fewer or smaller images, or a "
                "machine with more memory"
            )
        _crash(error)


def _fail(message: str) -> None:
    for line in with_absolute_paths(message).splitlines():
        log.error("error: %s", line)
    raise SystemExit(1)


def _crash(error: Exception) -> None:
    if (blamed := in_user_module(error)) is not None:
        _fail(str(blamed))
    log.error("unexpected failure, please report it with this traceback:\n%s", traceback.format_exc())
    raise SystemExit(1)
