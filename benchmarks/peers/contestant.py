"""What the drivers share: a prepared scene in, pictures and numbers out.

A driver runs as a script, `python run_NAME.py SCENE OUTPUT SECONDS`, in the environment of what it
drives, so this module needs no more than NumPy and Pillow. SCENE is a folder that
`benchmarks.radiance_peers.prepare` wrote. A driver trains for SECONDS of wall time, reading and
set-up aside, and leaves in OUTPUT a picture `NAME.png` of each held-out view, and `numbers.json`.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def arguments() -> tuple[Path, Path, float]:
    """SCENE, OUTPUT and SECONDS of the command line."""
    scene, output, seconds = sys.argv[1:]
    return Path(scene), Path(output), float(seconds)


def split_names(scene: Path) -> tuple[list[str], list[str]]:
    """Names of the training and of the held-out images, without suffix."""
    content = json.loads((scene / "transforms.json").read_text())
    train, test = ([Path(file).stem for file in content[f"{part}_filenames"]] for part in ("train", "test"))
    return train, test


def save_picture(output: Path, name: str, pixels: np.ndarray) -> None:
    """Write (h, w, 3) values in [0, 1] as 8 bits."""
    Image.fromarray((pixels * 255 + 0.5).clip(0, 255).astype(np.uint8)).save(output / f"{name}.png")


def contest(output: Path, train: Callable[[], dict[str, float]], render: Callable[[], None]) -> None:
    """Run both and write `numbers.json`.

    Args:
        output: an existing folder.
        train: trains and gives `steps`, `seconds` (of training alone) and whatever else is worth keeping.
        render: leaves a picture of each held-out view in `output`.
    """
    numbers = train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB
    began = time.monotonic()
    render()
    numbers |= {"peak_gib": peak, "render_seconds": time.monotonic() - began}
    (output / "numbers.json").write_text(json.dumps(numbers, indent=2))
