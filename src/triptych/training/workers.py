"""Data-parallel workers: one process a device, none of which outlives the job that starts them.

Each worker is a plain subprocess with a socket to its parent. The parent sends the task and requests to
stop; the worker sends log records and its result or exception; a closed socket tells either side that the
other one has ended. (`multiprocessing` would run the main script, the whole job, in every worker, and
torchrun reports a worker's error as its own, not as the one line that the user needs.)
"""

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from logging.handlers import QueueHandler
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO, Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from triptych.training.distributed import barrier
from triptych.training.stopping import SIGNALS, request_stop, saving_when_stopped
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

T = TypeVar("T")

HOST = "127.0.0.1"
# The parent ends all workers when one dies, so the limit of a collective need only be longer than any
# evaluation by worker 0, for which the others wait.
TIMEOUT = timedelta(days=1)
GRACE_SECONDS = 2.0  # in which the cause of a failure can be reported after its consequences
EXIT_SECONDS = 30.0  # for a worker to exit after its result


@dataclass(frozen=True)
class _Task:
    """What the parent sends a worker; `call` is the pickled (function, arguments)."""

    rank: int
    workers: int
    device_type: str
    port: int
    threads: int
    log_level: int
    call: bytes


@dataclass(frozen=True)
class _Worker:
    """The parent's view of a worker; `output` holds what it printed; worker 0 prints to the terminal."""

    name: str
    process: subprocess.Popen[bytes]
    connection: Connection
    output: IO[bytes] | None


def run_workers(function: Callable[..., T], arguments: Sequence[Any], *, workers: int, device_type: str) -> T:
    """Call `function(*arguments)` in `workers` processes that form a process group.

    On `cuda` worker r uses device r and NCCL (gloo for CPU tensors); on `cpu` workers share this process's
    threads and use gloo. Only log records and progress of worker 0 reach the caller. No worker outlives
    this process, however it ends. One worker is this process itself, without a group. SIGINT and SIGTERM end
    the training with a checkpoint (see `stopping`).

    Args:
        function: importable by name; it and its arguments are pickled.
        arguments: positional, the same for all workers.
        workers: number of processes.
        device_type: `cuda` or `cpu`.

    Returns:
        What worker 0 returns.

    Raises:
        TriptychError: there are too few devices, a worker raised it, or a worker died.
        SystemExit: a signal requested the end, and the training has saved a checkpoint.
        Exception: any other exception that a worker raised first, with its traceback as a note.
    """
    if workers == 1:
        with saving_when_stopped():
            return function(*arguments)
    _check_devices(workers, device_type)
    # The store listens on a port that this process holds, on the loopback interface only.
    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    store = TCPStore(HOST, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    threads = max(1, torch.get_num_threads() // workers)
    call = pickle.dumps((function, tuple(arguments)))
    started: list[_Worker] = []
    finished = False
    try:
        for rank in range(workers):
            task = _Task(rank, workers, device_type, port, threads, log.getEffectiveLevel(), call)
            started.append(_start(task))
        with saving_when_stopped(lambda number: _request_stop(started[0], number)):
            result: T = _wait_for_result(started)
        finished = True
    finally:
        for worker in started:
            if finished:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(EXIT_SECONDS)
            worker.process.kill()
        for worker in started:
            worker.process.wait()
            worker.connection.close()
            if worker.output is not None:
                worker.output.close()
        del store
    return result


def _check_devices(workers: int, device_type: str) -> None:
    if device_type not in ("cuda", "cpu"):
        raise TriptychError(
            f"gpus is {workers} but device '{device_type}' supports one worker only; set gpus: 1"
        )
    if device_type == "cuda" and workers > torch.cuda.device_count():
        raise TriptychError(
            f"gpus is {workers} but {torch.cuda.device_count()} are visible here; lower gpus in the recipe "
            "or request more from the scheduler"
        )


def _start(task: _Task) -> _Worker:
    parent_end, worker_end = Pipe()
    output = tempfile.TemporaryFile() if task.rank else None  # noqa: SIM115 - lives as long as the worker
    # sys.path rather than PYTHONPATH: for the worker, not for its children. Workers ignore signals from the
    # start: one that is sent to the process group reaches this process, too, which ends the workers.
    begin = (
        f"import signal, sys; [signal.signal(n, signal.SIG_IGN) for n in {[int(n) for n in SIGNALS]}]; "
        f"sys.path[:] = {sys.path!r}; from triptych.training.workers import work; "
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{begin} work({worker_end.fileno()})"],
        pass_fds=[worker_end.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    worker_end.close()
    with suppress(OSError):  # it died at once, which its closed connection will report
        parent_end.send_bytes(pickle.dumps(task))
    return _Worker(f"worker {task.rank + 1} of {task.workers}", process, parent_end, output)


def _request_stop(worker: _Worker, number: int) -> None:
    """Make a worker save and stop; the others wait for it, and `run_workers` ends them."""
    with suppress(OSError):  # it has ended, which its closed connection reports
        worker.connection.send_bytes(pickle.dumps(number))


def _wait_for_result(workers: list[_Worker]) -> Any:
    """Worker 0's result once all have one; otherwise raise the first failure, or worker 0's stop."""
    waiting = {worker.connection: worker for worker in workers}
    results: dict[str, Any] = {}
    reported: list[Exception] = []
    died: list[_Worker] = []
    deadline: float | None = None
    while waiting and (deadline is None or time.monotonic() < deadline):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        for connection in wait(list(waiting), left):
            assert isinstance(connection, Connection)
            worker = waiting[connection]
            try:
                kind, value = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError):
                del waiting[connection]
                died.append(worker)
                continue
            if kind == "log":
                log.handle(value)
                continue
            del waiting[connection]
            if kind == "result":
                results[worker.name] = value
            elif kind == "stop":
                raise SystemExit(value)
            elif isinstance(value, TriptychError):
                raise value
            else:
                reported.append(value)
        if deadline is None and (reported or died):
            # A death breaks the other workers' collectives, and their errors may arrive first.
            deadline = time.monotonic() + GRACE_SECONDS
    if died:
        raise _death(died[0])
    if reported:
        raise reported[0]
    return results[workers[0].name]


def _death(worker: _Worker) -> TriptychError:
    """The error for a worker that ended without a report."""
    code = worker.process.wait()
    if worker.output is not None:
        worker.output.seek(0)
        if printed := worker.output.read()[-4000:].decode(errors="replace").strip():
            log.error("last output of %s:\n%s", worker.name, printed)
    if code == -signal.SIGKILL:
        return TriptychError(
            f"{worker.name} was killed (SIGKILL), most likely because memory was exhausted; run again: the "
            "run resumes from its last checkpoint; or lower batch_size or gpus, with which it starts anew"
        )
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended early with exit code {code}"
    return TriptychError(f"{worker.name} {how}; run again: the run resumes from its last checkpoint")


class _ToParent(QueueHandler):
    """Sends log records, formatted and picklable, to the parent."""

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue(("log", record))  # type: ignore[operator]


def work(descriptor: int) -> None:
    """Main function of a worker; the file descriptor is its socket to the parent."""
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    try:
        task: _Task = pickle.loads(connection.recv_bytes())
    except EOFError:
        return
    threading.Thread(target=_listen_to_parent, args=(connection,), daemon=True).start()
    lock = threading.Lock()

    def send(message: tuple[str, Any]) -> None:
        data = pickle.dumps(message)
        with lock:
            connection.send_bytes(data)

    log.handlers = [_ToParent(send) if task.rank == 0 else logging.NullHandler()]  # type: ignore[arg-type]
    log.setLevel(task.log_level)
    log.propagate = False
    try:
        _join_group(task)
        function, arguments = pickle.loads(task.call)
        result = function(*arguments)
        barrier()  # no worker leaves while another one may still need it
        dist.destroy_process_group()
        send(("result", result if task.rank == 0 else None))
        return
    except SystemExit as stop:
        send(("stop", stop.code))
    except Exception as error:
        send(("error", _portable(error, task)))
    # To exit now would break the others' collectives, and they would report that.
    threading.Event().wait()


def _listen_to_parent(connection: Connection) -> None:
    """Request a stop for every signal number that it sends; exit when its end of the socket closes."""
    with suppress(EOFError, OSError):
        while True:
            request_stop(pickle.loads(connection.recv_bytes()))
    os._exit(1)


def _join_group(task: _Task) -> None:
    torch.set_num_threads(task.threads)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    backend = "gloo"
    if task.device_type == "cuda":
        torch.cuda.set_device(task.rank)
        backend = "cpu:gloo,cuda:nccl"
    store = TCPStore(HOST, task.port, is_master=False)
    dist.init_process_group(backend, store=store, rank=task.rank, world_size=task.workers, timeout=TIMEOUT)


def _portable(error: Exception, task: _Task) -> Exception:
    """The exception with its traceback as a note; a RuntimeError in its place if it can't be pickled."""
    note = f"in worker {task.rank + 1} of {task.workers}:\n{traceback.format_exc()}"
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
