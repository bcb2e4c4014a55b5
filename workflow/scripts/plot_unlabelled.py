"""Figures of part 1 for images without labels, each named by the output of its rule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.report.figures import save_figure
from triptych.report.part1_figures import loss_figure
from triptych.report.part1_unlabelled import image_map_figure, nearest_images_figure
from triptych.report.results import read_history
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *, histories: Sequence[str], points: str, neighbours: str, images: Sequence[str], targets: dict[str, Any]
) -> None:
    """Draw all figures; `images` are the packed training and test images."""
    train, test = (np.load(path, mmap_mode="r") for path in images)
    nearest = read_history(neighbours)
    shown = np.unique([*nearest["query"], *nearest["image"]])
    pictures = {row: train[row] if row < len(train) else test[row - len(train)] for row in shown.tolist()}
    rows = {row: index for index, row in enumerate(pictures)}
    nearest = nearest.assign(query=nearest["query"].map(rows), image=nearest["image"].map(rows))
    watched, shown_images = [read_history(path) for path in histories], np.stack(list(pictures.values()))
    save_figure(lambda: loss_figure(watched, with_published=False), targets["loss"])
    save_figure(lambda: image_map_figure(read_history(points), train), targets["image_map"])
    save_figure(lambda: nearest_images_figure(nearest, shown_images), targets["nearest_images"])


if "snakemake" in globals():
    with job(snakemake):
        main(
            histories=snakemake.input.histories,
            points=snakemake.input.points,
            neighbours=snakemake.input.neighbours,
            images=[path for path in snakemake.input.data if path.endswith("images.npy")],
            targets=dict(snakemake.output.items()),
        )
