"""NVlabs' Instant-NGP (https://github.com/NVlabs/instant-ngp): its `scripts/run.py` is checked and run.

Planning uses this module, so it does not import torch. `instant_ngp_scene` trains and renders with it.
"""

import logging
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

BACKEND = "instant-ngp"
FLAGS = (
    *("--scene", "--n_steps", "--save_snapshot", "--load_snapshot", "--nerf_compatibility"),
    *("--test_transforms", "--screenshot_transforms", "--screenshot_dir", "--width", "--height"),
)
REMEDIES = (  # for what a failed run may end with
    ("No module named 'pyngp'", "set instant_ngp.python to the Python that it was built for"),
    ("No module named", "install its requirements.txt for instant_ngp.python"),
    ("out of memory", "use a larger radiance.downscale, fewer images or a smaller aabb_scale"),
    ("OUT_OF_MEMORY", "use a larger radiance.downscale, fewer images or a smaller aabb_scale"),
)
BAR = re.compile(r"\b(\d+)/\d+ \[(?:.*\bloss=([^\s,\]]+))?")  # of its progress


def gpu_visible() -> bool:
    """Whether NVIDIA's driver lists a GPU that CUDA_VISIBLE_DEVICES does not hide."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return False
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU " in listing.stdout


@dataclass(frozen=True)
class Program:
    """A build of instant-ngp in the folder `root`, and the Python that its bindings were built for."""

    root: str
    python: str

    @property
    def script(self) -> Path:
        """Its `run.py`. Raises `TriptychError` if there is none."""
        script = Path(self.root).resolve() / "scripts/run.py"
        if not script.is_file():
            raise TriptychError(
                f"instant_ngp.root: {self.root} has no scripts/run.py; give the folder of an instant-ngp "
                "checkout that is built with Python bindings"
            )
        return script

    def check(self) -> str:
        """The version. Raises `TriptychError` if it does not start, or lacks an argument used here."""
        output = "\n".join(self._lines(["--help"], folder=self.script.parent))
        missing = [flag for flag in FLAGS if not re.search(rf"(?<![\w-]){flag}(?!\w)", output)]
        if missing:
            raise TriptychError(
                f"{self.script}: this version lacks {', '.join(missing)}; update instant-ngp to version 2.0"
            )
        build = Path(self.root) / "CMakeLists.txt"
        text = build.read_text(encoding="utf-8", errors="replace") if build.is_file() else ""
        found = re.search(r"^\s*VERSION\s+([\w.]+)\s*$", text, flags=re.MULTILINE)
        return found[1] if found else "of unknown version"

    def run(self, arguments: Sequence[object], *, folder: Path, steps: int = 0) -> float | None:
        """Run it to its end in `folder`; what it prints, without its progress, goes to the job's log file.

        Paths in the arguments of `run.py` must be absolute; 0 `steps`: it does not train. Returns the last
        training loss that it printed, or None. Raises `TriptychError` if it cannot be started, or fails.
        """
        loss: float | None = None
        with Progress(steps, BACKEND) as progress:
            for line in self._lines(arguments, folder=folder):
                if (bar := BAR.search(line)) is None:
                    log.info("%s: %s", BACKEND, line, extra={"progress": True})
                elif bar[2] is not None:
                    loss = float(bar[2])
                    progress.update(int(bar[1]) - progress.count, loss=loss)
        return loss

    def _lines(self, arguments: Sequence[object], *, folder: Path) -> Iterator[str]:
        """The lines that a run prints, without empty ones."""
        python = shutil.which(self.python)
        if python is None:
            raise TriptychError(
                f"instant_ngp.python: {self.python} cannot be started; give the path of a Python"
            )
        last: deque[str] = deque(maxlen=20)
        with subprocess.Popen(
            [os.path.abspath(python), str(self.script), *map(str, arguments)],
            cwd=folder,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:  # a progress bar's carriage returns end lines, too
                    if line.strip():
                        last.append(line.strip())
                        yield line.rstrip()
                code = process.wait()
            finally:  # this job is stopped
                process.terminate()
        if code:
            reason = next(
                (line for line in reversed(last) if "rror" in line), last[-1] if last else "no output"
            )
            known = (remedy for sign, remedy in REMEDIES if sign in reason)
            remedy = next(known, "its output is in the job's log")
            raise TriptychError(f"{self.script} failed with exit code {code}: {reason}; {remedy}")
