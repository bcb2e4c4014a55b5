"""The figures of part II with their captions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.report.confusion import confusable_groups
from triptych.report.published import published_epochs
from triptych.report.sections import Drawing, drawing


def grid_drawings(
    *,
    gallery: str | Path,
    overview: str | Path,
    curves: Mapping[str, str | Path],
    confusion: str | Path,
    attention: Mapping[str, str | Path],
    titles: Mapping[str, str],
    dataset: Mapping[str, Any],
    runs: int,
    with_published: bool,
) -> list[Drawing]:
    """The gallery, then the overview, the curves, confusion and attention.

    Args:
        gallery, overview, confusion: figures of the whole grid.
        curves: a figure an architecture.
        attention: likewise, of those that have attention.
        titles: of the architectures.
        dataset: values of `dataset.json`.
        runs: seeds of a cell.
        with_published: whether the published curves are drawn.
    """
    groups = confusable_groups(dataset)
    return [
        drawing(
            gallery,
            caption="Training images as the networks see them, drawn by the functions that train. Every row "
            "has the same crops, mirrors and rotations, so that rows differ by their augmentation alone. "
            "Where labels are mixed, their weights stand below the image.",
            description="Gallery: the same training images under each augmentation",
        ),
        drawing(
            overview,
            caption="Validation top-1 error (%) of every cell over the epochs, on the same axes. "
            f"{_lines(runs, with_published)}. Grey: the other cells. Orange: the error on the test images.",
            description="Validation top-1 error of every architecture with every augmentation",
        ),
        *(
            drawing(
                figure,
                caption=f"{titles[name]}: training and validation curves by augmentation. "
                f"{_curves(runs, with_published and published_epochs(f'{name}-baseline') is not None)}",
                description=f"Training loss, validation loss, top-1 and top-5 error of {titles[name]}",
            )
            for name, figure in curves.items()
        ),
        drawing(
            confusion,
            caption=""
            if groups is None
            else f"Test images by {groups.kind}, in percent of each row, for each architecture with its best "
            f"augmentation in validation, {'the run' if runs == 1 else f'all {runs} seeds together'}. Shades "
            "follow the root of the share; numbers from 4.5 % on. Neighbours are what is confused most.",
            description="No confusion matrix" if groups is None else f"Confusion by {groups.kind}",
        ),
        *(
            drawing(
                figure,
                caption=f"{titles[name]}: where the class token looks, by attention rollout (Abnar and "
                "Zuidema 2020), first seed. Bright patches flow into its answer, which stands below; "
                "orange answers are wrong. The maps show the flow through all layers by attention alone, "
                "not what decides the class.",
                description=f"Attention rollout of {titles[name]} on test images, by augmentation",
            )
            for name, figure in attention.items()
        ),
    ]


def _lines(runs: int, with_published: bool) -> str:
    ours = "Blue: this run" if runs == 1 else "Thin: every seed; thick: their mean"
    return f"{ours}; dashed: the published log" if with_published else ours


def _curves(runs: int, with_published: bool) -> str:
    about = (
        " The published logs have no validation loss, and their validation images were augmented. A train "
        "loss with label smoothing lies higher than theirs, which has none."
    )
    return f"{_lines(runs, with_published)}.{about if with_published else ''}"
