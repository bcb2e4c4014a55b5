"""`python -m triptych.predict MODEL FOLDER`: classify the images of a folder with a trained classifier."""

import argparse
import csv
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.classify.trained import load_trained
from triptych.data.folder import read_image
from triptych.data.folder_listing import counted
from triptych.data.image_files import SUFFIXES, UnreadableImage, find_files, printable
from triptych.workflow.command import run_command
from triptych.workflow.devices import choose_device
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path

BLOCK = 256  # images in memory at a time
HEADER = ("file", "class", "probability", "problem")


def _images(
    paths: list[Path], side: int, problems: dict[Path, str]
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """The readable images, in order; the others go into `problems`."""

    def read(path: Path) -> NDArray[np.uint8] | UnreadableImage:
        try:
            return read_image(path, side)
        except UnreadableImage as error:
            return error

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BLOCK):
            group = paths[start : start + BLOCK]
            for path, image in zip(group, pool.map(read, group), strict=True):
                if isinstance(image, UnreadableImage):
                    problems[path] = image.reason
                else:
                    yield path, image


def predict_folder(model: str | Path, folder: str | Path, target: str | Path, *, device: str = "auto") -> str:
    """Classify all images under a folder, or one image, into a csv; return a line on what was classified.

    Columns: file (relative to the folder), class, its probability, and what is wrong with a file that cannot
    be read, whose class is empty. Raises `TriptychError` if the classifier cannot be read, or there is no
    readable image.

    Args:
        model: as for `load_trained`.
        folder: images in it and its sub-folders are read as for training.
        device: of the recipes: auto, cpu, cuda, ...
    """
    root = Path(folder)
    if not root.exists():
        raise TriptychError(f"{root}: there is no such folder")
    found = find_files(root) if root.is_dir() else [root]
    paths = [path for path in found if path.suffix.lower() in SUFFIXES]
    others = [path for path in found if path not in set(paths)]
    if not paths:
        raise TriptychError(f"{root}: there are no images of the types {', '.join(SUFFIXES)}")
    trained, problems = load_trained(model), dict[Path, str]()
    read: list[Path] = []

    def pixels() -> Iterator[NDArray[np.uint8]]:
        for path, image in _images(paths, trained.pack_side, problems):
            read.append(path)
            yield image

    rows = {}
    for index, shares in enumerate(trained.probabilities(pixels(), device=choose_device(device))):
        best = int(shares.argmax())
        rows[read[index]] = (trained.classes[best], f"{shares[best]:.4f}", "")
    if not rows:
        raise TriptychError(f"{root}: none of {len(paths)} images can be read ({problems[paths[0]]})")
    base = root if root.is_dir() else root.parent
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for path in paths:
            row = rows.get(path) or ("", "", problems[path])
            writer.writerow([printable(path.relative_to(base)), *row])
    return _summary(len(rows), {path.relative_to(base): text for path, text in problems.items()}, others)


def _summary(count: int, problems: dict[Path, str], others: list[Path]) -> str:
    line = f"{counted(count, 'image')} classified"
    if problems:
        named = ", ".join(f"{printable(path)} ({reason})" for path, reason in problems.items())
        line += f"; {len(problems)} cannot be read: {named}"
    if others:
        named = ", ".join(printable(path.name) for path in others[:10])
        more = f" and {len(others) - 10} more" if len(others) > 10 else ""
        line += f"; {len(others)} of other types skipped: {named}{more}"
    return line


def main(arguments: list[str] | None = None) -> int:
    """Write the csv; the exit code is 1 for a problem the user can solve."""
    parser = argparse.ArgumentParser(
        prog="python -m triptych.predict", description="Classify images; write a csv."
    )
    parser.add_argument("model", help="results/RUN/seedN of a study, such as results/supervised/seed0")
    parser.add_argument("folder", help="folder of images, with sub-folders; or one image")
    parser.add_argument("--output", default="predictions.csv", help="the csv (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")

    def run(chosen: argparse.Namespace) -> None:
        line = predict_folder(chosen.model, chosen.folder, chosen.output, device=chosen.device)
        print(f"{chosen.output}: {line}")

    return run_command(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
