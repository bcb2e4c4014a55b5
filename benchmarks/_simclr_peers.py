"""Other implementations of SimCLR, each in its own process, which trains steps on request."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks._peers import DRIVERS, WORK, last_line
from triptych.workflow.errors import TriptychError


class Peer:
    """The process of another implementation; `close` ends it.

    Its log is results/benchmarks/peers/NAME.log; the arguments are the driver, a file in benchmarks/peers,
    and what it is called with. Raises `TriptychError` if it ends before it is ready.
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
            raise TriptychError(f"{last_line(self._log)} (all its output is in {self._log})")
        return line

    def seconds(self, steps: int) -> float:
        """Seconds a step, over so many. Raises `TriptychError` if the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._read()) / steps

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
