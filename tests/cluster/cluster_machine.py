"""What every test cluster needs: free ports, daemons that end, and reasons not to start."""

import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest


def skip_unless(*programs: str, packages: str, root: bool = True) -> None:
    """Skip a module's tests, or fail them where `TRIPTYCH_REQUIRE_CLUSTERS` is set, if these are missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    why = ""
    if root and os.geteuid() != 0:
        why = "needs root, to start a scheduler's daemons"
    elif missing:
        why = f"needs {', '.join(missing)} (Debian packages: {packages})"
    if why and os.environ.get("TRIPTYCH_REQUIRE_CLUSTERS"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def end_daemon(pid_file: Path, name: str) -> None:
    """End the daemon of this name whose process id is in the file: by force if it does not react."""
    with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        daemon = psutil.Process(int(pid_file.read_text()))
        if daemon.name() != name:
            return
        daemon.terminate()
        deadline = time.monotonic() + 5
        while daemon.is_running() and daemon.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                daemon.kill()
            time.sleep(0.1)
