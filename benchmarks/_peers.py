"""Programs of others: an environment for each, and runs whose output goes to a file."""

import logging
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


def last_line(output: Path) -> str:
    """What a program ended with."""
    return (output.read_text(errors="replace").strip().splitlines() or ["no output"])[-1].strip()[:200]


def run(command: Sequence[str | Path], output: Path, *, limit: float | None = None) -> None:
    """Run a command with its output in a file. Raises `TriptychError` with the last line of it on failure."""
    with output.open("w") as stream:
        try:
            code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, timeout=limit).returncode
        except subprocess.TimeoutExpired as error:
            raise TriptychError(f"not done after {limit:.0f} s; its output is in {output}") from error
    if code:
        raise TriptychError(f"{last_line(output)} (exit code {code}; all its output is in {output})")


def environment(peer: str, *, shared: bool = False) -> Path:
    """The Python of a peer's own environment, which is made if it is missing or its pins have changed.

    With `shared`, it has this environment's packages, too, so that both run the same torch. Raises
    `TriptychError` if it cannot be made.
    """
    pins, venv = DRIVERS / f"{peer}.txt", (WORK / peer / "venv").resolve()
    packages = sysconfig.get_path("purelib") if shared else ""
    mark, state = venv / "installed.json", {"pins": digest_of_files([str(pins)]), "shared": packages}
    python = venv / "bin" / "python"
    if not mark.is_file() or read_json(mark) != state:
        log.info("installing %s into %s", peer, venv)
        venv.parent.mkdir(parents=True, exist_ok=True)
        output = WORK / peer / "install.log"
        run([sys.executable, "-m", "venv", "--clear", venv], output)
        options = ["--no-deps"] if shared else []
        run([python, "-m", "pip", "install", *options, "--requirement", pins], output)
        if shared:
            version = f"python{sys.version_info.major}.{sys.version_info.minor}"
            (venv / "lib" / version / "site-packages" / "shared.pth").write_text(f"{packages}\n")
        write_json(mark, state)
    return python
