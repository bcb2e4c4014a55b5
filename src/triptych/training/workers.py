"""Data-parallel workers: one process per device, none of which outlives the job that starts them.

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
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from triptych.training.distributed import barrier
from triptych.training.stopping import SIGNALS, request_stop, saving_when_stopped
from triptych.workflow.errors import TriptychError, is_out_of_memory
from triptych.workflow.plugins import in_user_module

log = logging.getLogger("triptych")

T = TypeVar("T")

HOST = "127.0.0.1"
# The parent ends all workers when one dies, so the limit of a collective need only be longer than any
# evaluation by worker 0, for which the others wait.
TIMEOUT = timedelta(days=1)
GRACE_SECONDS = 2.0  # time for a failure's cause to be reported after its consequences
EXIT_SECONDS = 30.0  # for a worker to exit after its result


@dataclass(frozen=True)
class _Worker:
    """The parent's view of a worker."""

    name: str
    process: subprocess.Popen[bytes]
    connection: Connection

    def send(self, message: Any) -> None:
        """Send an object; one that has ended is reported by its closed connection."""
        with suppress(OSError):
            self.connection.send_bytes(pickle.dumps(message))


def run_workers(function: Callable[..., T], arguments: Sequence[Any], *, workers: int, device_type: str) -> T:
    """Call `function(*arguments)` in `workers` processes that form a process group; return worker 0's result.

    On `cuda` worker r uses device r and NCCL (gloo for CPU tensors); on `cpu` workers share this process's
    threads and use gloo. Only log records and progress of worker 0 reach the caller. No worker outlives this
    process, however it ends. One worker is this process itself, without a group. SIGINT and SIGTERM end the
    training with a checkpoint (see `stopping`). The function is importable by name; it and its arguments are
    pickled.

    Raises:
        TriptychError: there are too few devices, a worker raised it, or a worker died.
        SystemExit: a signal requested the end, and the training has saved a checkpoint.
        Exception: any other exception that a worker raised first, with its traceback as a note.
    """
    if workers == 1:
        with saving_when_stopped():
            return function(*arguments)
    if device_type not in ("cuda", "cpu"):
        raise TriptychError(
            f"gpus is {workers} but device '{device_type}' supports one worker only; set gpus: 1"
        )
    if device_type == "cuda" and workers > torch.cuda.device_count():
        raise TriptychError(
            f"gpus is {workers} but {torch.cuda.device_count()} are visible here; lower gpus in the recipe "
            "or request more from the scheduler"
        )
    # The store listens on a port that this process holds, on the loopback interface only.
    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    store = TCPStore(HOST, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    group = {"world_size": workers, "device_type": device_type, "port": port}
    threads, level = max(1, torch.get_num_threads() // workers), log.getEffectiveLevel()
    call = pickle.dumps((function, tuple(arguments)))
    started: list[_Worker] = []
    finished = False
    try:
        for rank in range(workers):
            started.append(_start(rank, workers))
            started[rank].send({"rank": rank, **group, "threads": threads, "level": level, "call": call})
        with saving_when_stopped(started[0].send):
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
        del store
    return result


def _start(rank: int, workers: int) -> _Worker:
    parent_end, worker_end = Pipe()
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
        env={**os.environ, **({"TQDM_DISABLE": "1"} if rank else {})},  # worker 0 alone draws progress
    )
    worker_end.close()
    return _Worker(f"worker {rank + 1} of {workers}", process, parent_end)


def _wait_for_result(workers: list[_Worker]) -> Any:
    """Worker 0's result once all have one; otherwise raise the first failure, or worker 0's stop."""
    waiting = {worker.connection: worker for worker in workers}
    result = None
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
                result = value if worker is workers[0] else result
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
    return result


def _death(worker: _Worker) -> TriptychError:
    """The error for a worker that ended without a report."""
    code = worker.process.wait()
    if code == -signal.SIGKILL:
        return TriptychError(
            f"{worker.name} was killed (SIGKILL), most likely because memory was exhausted; run again: the "
            "run resumes from its last checkpoint; or lower batch_size or gpus, which "
            "restarts it from the beginning"
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
        task = pickle.loads(connection.recv_bytes())
    except EOFError:
        return
    threading.Thread(target=_listen_to_parent, args=(connection,), daemon=True).start()
    lock = threading.Lock()

    def send(message: tuple[str, Any]) -> None:
        data = pickle.dumps(message)
        with lock:
            connection.send_bytes(data)

    rank, workers = task["rank"], task["world_size"]
    log.handlers = [logging.NullHandler() if rank else _ToParent(send)]  # type: ignore[arg-type]
    log.setLevel(task["level"])
    log.propagate = False
    torch.set_num_threads(task["threads"])
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    try:
        backend = "gloo"
        if task["device_type"] == "cuda":
            torch.cuda.set_device(rank)
            backend = "cpu:gloo,cuda:nccl"
        store = TCPStore(HOST, task["port"], is_master=False)
        dist.init_process_group(backend, store=store, rank=rank, world_size=workers, timeout=TIMEOUT)
        function, arguments = pickle.loads(task["call"])
        result = function(*arguments)
        barrier()  # no worker leaves while another one may still need it
        dist.destroy_process_group()
        send(("result", None if rank else result))
        return
    except SystemExit as stop:
        send(("stop", stop.code))
    except Exception as error:
        blamed = None if is_out_of_memory(error) else in_user_module(error)
        send(("error", blamed or _portable(error, f"worker {rank + 1} of {workers}")))
    # To exit now would break the others' collectives, and they would report that.
    threading.Event().wait()


def _listen_to_parent(connection: Connection) -> None:
    """Request a stop for every signal number that it sends; exit when its end of the socket closes."""
    with suppress(EOFError, OSError):
        while True:
            request_stop(pickle.loads(connection.recv_bytes()))
    os._exit(1)


def _portable(error: Exception, name: str) -> Exception:
    """The exception with its traceback as a note; a RuntimeError in its place if it can't be pickled."""
    note = f"in {name}:\n{traceback.format_exc()}"
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
