"""A job ends with the Snakemake above it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

# A shell stands between Snakemake and the job, as in a real run.
SNAKEMAKE = (
    "import subprocess, sys; subprocess.run(['sh', '-c', 'python3 -c \"$1\"; true', 'sh', sys.argv[1]])"
)
JOB = """
import signal, sys, time
from triptych.workflow import parent
parent.POLL_SECONDS, parent.GRACE_SECONDS = 0.05, {grace}
{handler}
parent.end_with_snakemake()
open({file!r}, "w").write("started")
time.sleep(60)
"""
SAVES = "signal.signal(signal.SIGTERM, lambda *_: (open({file!r}, 'w').write('saved'), sys.exit()))"
IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def start(folder: Path, handler: str, grace: float) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """A process named snakemake, and the job below it."""
    program, file = folder / "snakemake", str(folder / "file")
    program.write_text(SNAKEMAKE)
    job = JOB.format(grace=grace, handler=handler.format(file=file), file=file)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    above = subprocess.Popen([sys.executable, str(program), job], env={**os.environ, "PATH": path})
    while not Path(file).exists() or Path(file).read_text() != "started":
        time.sleep(0.02)
    return above, psutil.Process(above.pid).children(recursive=True)[-1]


@pytest.mark.parametrize(("handler", "content"), [(SAVES, "saved"), (IGNORES, "started")])
def test_a_job_saves_and_ends_soon_after_its_snakemake_was_killed(
    tmp_path: Path, handler: str, content: str
) -> None:
    above, below = start(tmp_path, handler, grace=0.3)
    assert below.is_running()
    above.send_signal(signal.SIGKILL)
    above.wait()
    below.wait(timeout=10)
    assert (tmp_path / "file").read_text() == content


def test_a_job_ends_with_any_process_between_it_and_its_snakemake(tmp_path: Path) -> None:
    above, below = start(tmp_path, SAVES, grace=5)
    between = below.parent()
    assert between is not None and between.pid != above.pid
    between.kill()
    below.wait(timeout=10)
    assert (tmp_path / "file").read_text() == "saved"
    above.wait(timeout=10)
