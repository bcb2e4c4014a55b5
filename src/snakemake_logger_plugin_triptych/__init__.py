"""What a study's terminal shows: a line for each finished job, one bar over all, warnings and errors.

Snakemake finds this plugin by its name, where it is installed, before it reads the Snakefile. It imports
nothing of `triptych`: the Snakefile may be that of another checkout.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_triptych.running import Running
from snakemake_logger_plugin_triptych.stopping import SIGNALS, end_jobs
from snakemake_logger_plugin_triptych.wording import NOTHING, concerns_user, reword

LOG_ONLY = "TRIPTYCH_LOG_ONLY"  # as in `triptych.workflow.job`
EVERY = 60.0  # seconds between two lines of progress where there is no terminal
_expected: dict[str, float] = {}  # seconds, by `_key`
_when_nothing_is_to_be_done: list[Callable[[], None]] = []
_interrupted = threading.Event()
_handlers: list["LogHandler"] = []


def expect(seconds: Iterable[tuple[str, Mapping[str, str], float]]) -> None:
    """Weigh the bar by these jobs' rule, wildcards and expected seconds; others count one second."""
    _expected.update({_key(rule, wildcards): max(1.0, value) for rule, wildcards, value in seconds})


def when_nothing_is_to_be_done(show: Callable[[], None]) -> None:
    """Call this if the study is finished before it begins, when Snakemake has no hook."""
    _when_nothing_is_to_be_done.append(show)


def remove_bar() -> None:
    """Before the last lines of a run: while there is a bar, long lines are broken, also addresses."""
    for handler in _handlers:
        handler.live.stop()


def stop_at_signals() -> None:
    """Stop the run at the first of `SIGNALS`, unless it is ignored, as SIGHUP under nohup.

    Called again when jobs start: by then Snakemake's scheduler has taken SIGTERM, and would wait for the
    running jobs to finish.
    """
    for handler in _handlers:
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler.interrupt)


def was_interrupted() -> bool:
    """Whether one of `SIGNALS` stopped the run."""
    return _interrupted.is_set()


def _key(rule: str, wildcards: Mapping[str, str]) -> str:
    return f"{rule} {sorted(wildcards.items())}"


class LogHandler(LogHandlerBase):
    """Snakemake's logger plugin. Dry runs and verbose runs look as Snakemake's own.

    With `--quiet` Snakemake tells nothing of its jobs; the Snakefile still prints the end of a run.
    """

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self.plain: logging.Handler | None = None
        if not (settings.verbose or settings.debug_dag):
            os.environ[LOG_ONLY] = "1"
        self.quiet = bool(settings.quiet)
        if settings.dryrun or settings.verbose or settings.debug_dag:
            quiet = set(settings.quiet or ())
            self.plain = ColorizingTextHandler(
                nocolor=settings.nocolor,
                stream=sys.stdout if settings.stdout else sys.stderr,
                formatter=DefaultFormatter(quiet, settings.show_failed_logs),
                filter=DefaultFilter(
                    quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds
                ),
            )
            return
        self.terminal = self._divert_jobs()
        self.console = Console(
            file=sys.stdout if settings.stdout else self.terminal,
            no_color=settings.nocolor or None,
            highlight=False,
        )
        self.running: dict[int, Running] = {}
        self.began = time.monotonic()
        self.done_jobs = self.total_jobs = 0
        self.done_seconds = self.worked_seconds = 0.0
        self.ended = threading.Event()
        self.reading = threading.Lock()  # `_watch` is a thread of its own
        self.live = Live(
            console=self.console, get_renderable=self._picture, refresh_per_second=2, transient=True
        )
        _handlers.append(self)
        threading.Thread(target=self._watch, daemon=True).start()
        stop_at_signals()

    def _divert_jobs(self) -> TextIO:
        """The terminal, of which jobs get only what `_pass_on` lets through.

        Jobs print there until they have opened their logs: usually nothing, but tracebacks of what they load.
        """
        encoding = sys.stderr.encoding
        terminal = open(os.dup(2), "w", buffering=1, encoding=encoding, errors="triptych")  # noqa: SIM115
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        os.close(writing)
        sys.stderr = terminal
        pipe = open(reading, encoding="utf-8", errors="replace")  # noqa: SIM115
        self.passing = threading.Thread(target=self._pass_on, args=(pipe,), daemon=True)
        self.passing.start()
        return terminal

    def _pass_on(self, pipe: TextIO) -> None:
        """Show what jobs print, but none of their tracebacks when they are stopped.

        At Ctrl-C a job may print its traceback before Snakemake knows of the signal.
        """
        traceback: list[str] = []
        for line in pipe:
            if line.startswith("Traceback ") or (traceback and line.startswith(" ")):
                traceback.append(line)
                continue
            if not was_interrupted() and not line.startswith("KeyboardInterrupt"):
                for shown in [*traceback, line]:
                    self._say(shown.rstrip())
            traceback = []

    def emit(self, record: logging.LogRecord) -> None:
        """Show what concerns the user of one of Snakemake's messages."""
        reword(record)
        if self.plain is not None:
            self.plain.handle(record)
            return
        fields = vars(record)
        event = fields.get("event")
        if event == LogEvent.RUN_INFO:
            self._plan(fields["stats"])
        elif event == LogEvent.JOB_INFO:
            log = Path(fields["log"][0]) if fields["log"] else None
            title = fields["rule_msg"] or fields["rule_name"]
            seconds = _expected.get(_key(fields["rule_name"], fields["wildcards"]), 1.0)
            self.running[fields["jobid"]] = Running(title, fields["rule_name"], seconds, log)
        elif event == LogEvent.JOB_FINISHED:
            self._finished(fields["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self._failed(fields["jobid"])
        elif event in (None, LogEvent.ERROR, LogEvent.GROUP_ERROR) and concerns_user(record):
            self._say(record.getMessage(), "yellow" if record.levelno == logging.WARNING else "")
            if record.getMessage().startswith(NOTHING):
                for show in _when_nothing_is_to_be_done:
                    show()

    def close(self) -> None:
        """Remove the bar; the lines above it stay."""
        if self.plain is None and not self.ended.is_set():
            self.ended.set()
            self.live.stop()
            if was_interrupted():
                self._say("Stopped. Run the same command again to continue.")
            os.dup2(self.terminal.fileno(), 2)
            self.passing.join(timeout=0.5)  # a job that is still alive holds the pipe
        super().close()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Stop Snakemake once; a second Ctrl-C is for the jobs, which receive it, too."""
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        _interrupted.set()
        if self.running:
            again = "; Ctrl-C again stops them at once" if number == signal.SIGINT else ""
            self._say(f"Stopping. Trainings save their state first{again}.")
        if number != signal.SIGINT:
            end_jobs()
        sys.exit(128 + number)  # Snakemake ends; a KeyboardInterrupt would show a traceback

    def _plan(self, jobs_of_rules: dict[str, int]) -> None:
        """Begin a bar over these jobs."""
        self.total_jobs = sum(count for rule, count in jobs_of_rules.items() if rule not in ("all", "total"))
        if self.console.is_interactive and self.total_jobs and not self.quiet:
            self.live.start()

    def _finished(self, jobid: int) -> None:
        """A line for the job, after its last warnings."""
        job = self.running.pop(jobid, None)
        if job is None or job.rule == "all":
            return
        self._warn(job)
        self.done_jobs += 1
        self.done_seconds += job.seconds
        self.worked_seconds += job.seconds * (1 - (job.resumed or 0.0))
        self.total_jobs = max(self.total_jobs, self.done_jobs)  # a checkpoint adds jobs
        if not self.quiet:
            self._say(f"[{self.done_jobs}/{self.total_jobs}] {job.title} ({job.elapsed()})")

    def _failed(self, jobid: int) -> None:
        """The error at once; Snakefile's `onerror` repeats it at the end."""
        job = self.running.pop(jobid, None)
        if job is None:  # it could not be started
            return
        self._warn(job)
        if (was_interrupted() or job.stopped) and not job.errors:
            self._say(f"stopped: {job.title}")
            return
        log = f" (log: {job.log.absolute()})" if job.log else ""
        self._say(f"failed: {job.title}: {job.errors[-1] if job.errors else 'it left no error'}{log}", "red")

    def _warn(self, job: Running) -> None:
        """Read what is new in a job's log, and show its warnings."""
        with self.reading:
            warnings = job.read_log()
        for warning in warnings:
            self._say(f"{job.title}: {warning}", "yellow")

    def _say(self, text: str, style: str = "") -> None:
        with suppress(OSError):  # the terminal is closed
            self.console.print(Text(text, style), soft_wrap=True)

    def _watch(self) -> None:
        """Show warnings while their jobs run and, where no bar is drawn, a line of progress now and then."""
        spoke = time.monotonic()
        while not self.ended.wait(1.0):
            for job in list(self.running.values()):
                self._warn(job)
            if not self.console.is_interactive and not self.quiet and time.monotonic() - spoke >= EVERY:
                spoke = time.monotonic()
                share, eta = self._share()
                jobs = [f"{job.title}: {job.words or job.elapsed()}" for job in list(self.running.values())]
                self._say("; ".join([f"{share:.0%} of the study is done, ETA {eta}", *jobs]))

    def _share(self) -> tuple[float, str]:
        """Share of the expected time that is over, 0 to 1, and the time that is left as text."""
        done, worked = self.done_seconds, self.worked_seconds
        for job in list(self.running.values()):
            done += job.seconds * job.share
            worked += job.seconds * (job.share - (job.resumed or 0.0))
        total = max(sum(_expected.values()) or self.total_jobs, done, 1e-9)
        rate = worked / (time.monotonic() - self.began)
        return done / total, str(timedelta(seconds=round((total - done) / rate))) if rate > 0 else "?"

    def _picture(self) -> Group:
        """The bar over all jobs and a line for each running one."""
        share, eta = self._share()
        words = f"{self.done_jobs}/{self.total_jobs} jobs, ETA {eta}"
        width = max(1, min(40, self.console.width - len(words) - 8))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(f"{share:4.0%}", ProgressBar(total=1.0, completed=share, width=width), words)
        jobs = [f"  {job.title}  {job.words or job.elapsed()}" for job in list(self.running.values())]
        return Group(bar, *(Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in jobs))
