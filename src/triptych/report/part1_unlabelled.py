"""Part 1 of images without labels: what the encoder takes for similar, and the section of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from triptych.report.answers import unlabelled_answer
from triptych.report.comparison import own_data
from triptych.report.figures import frame_axes, new_figure, shorten
from triptych.report.part2_pictures import PictureRow, picture_grid
from triptych.report.results import WARNED, read_result, read_results, warnings_of
from triptych.report.sections import Headline, Section, settings_of_checks, with_settings
from triptych.report.statistics import estimate, spread_note
from triptych.report.tables import Table

SIZE = 4.6  # inches
CELLS, CELL = 26, 40  # cells a side of the map, pixels of each
LEFT_OUT = (
    "The images have no labels. Left out is what needs them: linear probe, k nearest neighbours as a "
    "classifier, fractions of the labels, fine-tuning, supervised training, and part II."
)


def nearest_images_figure(neighbours: pd.DataFrame, images: NDArray[np.uint8]) -> Figure:
    """A row for each query: the image, then its neighbours, nearest first, with their cosine similarities.

    Args:
        neighbours: what `triptych.ssl.nearest_images` writes.
        images: (N, H, W, 3), training images first.
    """
    rows = []
    for query, found in neighbours.groupby("query"):
        pictures = images[[query, *found["image"]]]
        name = Path(found["query_file"].iloc[0]).name
        rows.append(
            PictureRow(shorten(name, 36), pictures, ["", *(f"{value:.2f}" for value in found["similarity"])])
        )
    ranks = range(1, 1 + max(len(row.pictures) for row in rows) - 1)
    return picture_grid(rows, ["image", *(f"{rank}" for rank in ranks)])


def image_map_figure(points: pd.DataFrame, images: NDArray[np.uint8]) -> Figure:
    """Images at their places in the map of their features, as many as fit side by side.

    Args:
        points: columns image, x and y.
        images: (N, H, W, 3).
    """
    places = points[["x", "y"]].to_numpy()
    low = places.min(axis=0)
    cells = ((places - low) / max(np.ptp(places, axis=0).max(), 1e-9) * (CELLS - 1e-6)).astype(int)
    canvas = np.full((CELLS * CELL, CELLS * CELL, 4), (255, 255, 255, 0), np.uint8)
    # the last one of a cell stays
    for image, (column, row) in zip(points["image"], cells, strict=True):
        small = Image.fromarray(np.asarray(images[image])).resize((CELL, CELL), Image.Resampling.LANCZOS)
        top, left = (CELLS - 1 - row) * CELL, column * CELL
        canvas[top : top + CELL, left : left + CELL, :3] = np.asarray(small)
        canvas[top : top + CELL, left : left + CELL, 3] = 255
    figure = new_figure(SIZE, SIZE)
    axes = figure.add_subplot()
    axes.imshow(canvas, interpolation="none")
    axes.set_title("Map of the features")
    frame_axes(axes, ticks=False)
    return figure


def unlabelled_section(
    *,
    dataset: str | Path,
    simclr: Sequence[str | Path],
    features: Sequence[str | Path],
    nearest: Sequence[str | Path],
    maps: Sequence[str | Path],
    figures: Mapping[str, Any],
    checked: Sequence[str | Path] = (),
) -> Section:
    """Part I of the page, for images without labels.

    Args:
        dataset: `dataset.json`.
        simclr: metrics of the pretraining, all seeds.
        features, nearest, maps: metrics of the features, the nearest images and the map.
        checked: what the checks of the data set wrote.
        figures: `loss`, `image_map` and `nearest_images`.
    """
    described, pretraining, found = read_result(dataset), read_results(simclr), read_results(nearest)
    others = [*read_results(features), *found, *read_results(maps)]
    own = own_data(described.values)
    comparison = replace(own, summary=f"{own.summary}. {LEFT_OUT}")
    loss, spread = (estimate(pretraining, name) for name in ("final_train_loss", "feature_std"))
    images, warnings = found[0].values["images"], warnings_of([*pretraining, *others])
    table = Table(
        caption="The pretraining of the encoder",
        header=("Measure", "SimCLR"),
        rows=[
            ("Contrastive loss at the end (nats, ↓)", loss),
            ("Spread of the features (0: collapsed; at most 1)", spread),
        ],
        notes=(
            *(f"{WARNED} {line}" for line in warnings),
            spread_note([loss, spread]),
            f"The features are in {Path(nearest[0]).parent.as_posix()}/features.npy, the names of their "
            "images in files.csv.",
        ),
    )
    answer = unlabelled_answer(images, pretraining, described.values["name"])
    return Section(
        title="self-supervision",
        headline=Headline(f"{images:,}", "images", "encoded by SimCLR without labels", found[0].source),
        comparison=comparison,
        results=[described, *pretraining, *others],
        answers=[replace(answer, warnings=warnings, caveats=[comparison.verdict])],
        tables={"accuracy": [with_settings(table, settings_of_checks("self_supervision", checked))]},
        figures=figures,
        words={
            "intro": "SimCLR trains an encoder on images without labels. Its features say which images are "
            "similar.",
            **dict.fromkeys(("lines", "together", "accuracy", "feature_map"), ""),
        },
    )
