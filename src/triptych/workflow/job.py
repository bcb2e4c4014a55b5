"""The frame of all workflow scripts: log, threads, GPUs, wall time, record of the outputs, and failures."""

import errno
import logging
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.workflow.errors import TriptychError, is_out_of_memory, with_absolute_paths
from triptych.workflow.gpus import claim_gpus, hide_gpus
from triptych.workflow.machine_memory import memory_limit
from triptych.workflow.parent import end_with_snakemake
from triptych.workflow.plugins import in_user_module
from triptych.workflow.provenance import provenance
from triptych.workflow.records import remove_record, write_record

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

log = logging.getLogger("triptych")

DONE = "done"  # the last line of a job's log, unless the job fails, is stopped or is killed


class Job:
    """The running job: its start time and the digest of its code."""

    def __init__(self, code: str) -> None:
        self.began = time.monotonic()
        self.code_digest = code

    def provenance(self, *, recipe: Any, seed: int | None = None, **facts: Any) -> dict[str, Any]:
        """`provenance` with this job's wall time (unless given) and code digest."""
        facts.setdefault("wall_seconds", time.monotonic() - self.began)
        return provenance(recipe=recipe, seed=seed, code=self.code_digest[:16], **facts)


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
    wrote are recorded (see `records`). A `TriptychError`, a full disk or exhausted memory ends the job with
    one clear line and exit code 1, and so does an exception in a user's module; anything else is a defect
    and keeps its traceback. The job ends with the
    Snakemake that started it.
    """
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    to_terminal = logging.StreamHandler()
    to_terminal.addFilter(_NoProgressOnTerminal())
    log.handlers = [to_file, to_terminal]
    log.setLevel(logging.INFO)
    log.propagate = False
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    to_terminal.setFormatter(logging.Formatter(f"[{snakemake.rule}] %(message)s"))
    # by an exception instead of at once: temporary files are removed
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, lambda number, _: sys.exit(128 + number))
    end_with_snakemake()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(snakemake.threads)
    try:
        recipe = snakemake.params.get("recipe", {})
        if torch is not None and recipe.get("device") in ("auto", "cuda"):
            # gpus of the recipe, not the resource: Snakemake caps it at the profile's number
            if snakemake.resources.get("gpu", 0):
                claim_gpus(recipe.get("gpus", 1), torch.cuda.device_count())
            elif recipe["device"] == "auto":  # compute.gpus is 0: cores alone limit the number of such jobs
                hide_gpus()
        if torch is not None:
            from triptych.kernels import registry

            registry.configure(snakemake.config["compute"]["kernels"])
            log.info("kernels: %s", registry.describe())
        log.info("memory: %.1f GB", memory_limit() / 1e9)
        remove_record(snakemake.output)
        yield Job(snakemake.params.get("code", ""))
        write_record(snakemake.output)
        log.info(DONE)
    except SystemExit:
        log.info("stopped")
        raise
    except TriptychError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _crash(error)
        where = f" ({error.filename})" if error.filename else ""
        _fail(
            f"disk full while writing the outputs of {snakemake.rule}{where}; free some space and run again"
        )
    except Exception as error:
        if is_out_of_memory(error):
            _fail(
                f"out of memory in {snakemake.rule}; use a smaller batch_size, fewer or smaller images, or a "
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
