"""Other implementations of SimCLR, each in its own process, which trains steps on request."""

import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_files, read_json, write_json

log = logging.getLogger("triptych")

DRIVERS = Path(__file__).parent / "peers"
WORK = Path("results/benchmarks/peers")


def lightly_python() -> Path:
    """The Python of lightly's environment, which is made if it is missing or its pins have changed.

    It shares this environment's packages, so that both run the same torch.

    Raises:
        TriptychError: it cannot be made.
    """
    pins, shared = DRIVERS / "lightly.txt", sysconfig.get_path("purelib")
    venv = (WORK / "lightly" / "venv").resolve()
    python = venv / "bin" / "python"
    mark, state = venv / "installed.json", {"pins": digest_of_files([str(pins)]), "shared": shared}
    if mark.is_file() and read_json(mark) == state:
        return python
    log.info("installing lightly into %s", venv)
    venv.parent.mkdir(parents=True, exist_ok=True)
    output = WORK / "lightly" / "install.log"
    with output.open("w") as stream:
        commands: tuple[list[str | Path], ...] = (
            [sys.executable, "-m", "venv", "--clear", venv],
            [python, "-m", "pip", "install", "--no-deps", "--requirement", pins],
        )
        for command in commands:
            if subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT).returncode:
                raise TriptychError(f"lightly cannot be installed; see {output}")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (venv / "lib" / version / "site-packages" / "shared.pth").write_text(f"{shared}\n")
    write_json(mark, state)
    return python


class Peer:
    """The process of another implementation; `close` ends it.

    Args:
        name: of its log, results/benchmarks/peers/NAME.log.
        python: that runs it.
        arguments: the driver, a file in benchmarks/peers, and what it is called with.

    Raises:
        TriptychError: it ends before it is ready.
    """

    def __init__(self, name: str, python: str | Path, arguments: Sequence[str]) -> None:
        WORK.mkdir(parents=True, exist_ok=True)
        self._log = WORK / f"{name}.log"
        # As anyone would run it: how allocator and threads are set up for this process is none of theirs.
        ours = ("MALLOC_", "OMP_WAIT_POLICY")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        driver, *options = arguments
        with self._log.open("w") as stream:
            self._process = subprocess.Popen(
                [str(python), str((DRIVERS / driver).resolve()), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env=environment,
            )
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            last = (self._log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
            raise TriptychError(f"{last.strip()[:200]} (all its output is in {self._log})")
        return line

    def seconds(self, steps: int) -> float:
        """Seconds a step, over so many.

        Raises:
            TriptychError: the process has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._read()) / steps

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
