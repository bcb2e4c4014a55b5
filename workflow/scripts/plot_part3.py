"""Figures of a scene of part 3, each named by the output of its rule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from triptych.report.figures import save_figure
from triptych.report.part3 import training_figure
from triptych.report.part3_frames import contact_sheet_figure, sharpness_figure
from triptych.report.part3_pictures import cameras_figure, matches_figure, read_matches, strips_figure
from triptych.report.results import read_history, read_result
from triptych.workflow.job import job


def strips(inputs: Any) -> Figure:
    """Photographs, renderings, errors, depth and normals of typical held-out views."""
    return strips_figure(read_result(inputs.numbers).values["views"], Path(inputs.numbers).parent)


def cameras(inputs: Any) -> Figure:
    """Cameras and sparse points."""
    held_out = [view["name"] for view in read_result(inputs.numbers).values["views"]]
    return cameras_figure(Path(inputs.transforms), cloud=Path(inputs.cloud), held_out=held_out)


FIGURES = {
    "training": lambda inputs: training_figure(read_history(inputs.table)),
    "sharpness": lambda inputs: sharpness_figure(read_history(inputs.table), Path(inputs.thumbnails)),
    "contact_sheet": lambda inputs: contact_sheet_figure(read_history(inputs.table), Path(inputs.thumbnails)),
    "matches": lambda inputs: matches_figure(read_matches(Path(inputs.database))),
    "strips": strips,
    "cameras": cameras,
}


def main(figure: str, inputs: Any, target: str | Sequence[str]) -> None:
    """Draw one of `FIGURES` from a rule's named inputs; a second target is for a narrow page."""
    save_figure(lambda: FIGURES[figure](inputs), target)


if "snakemake" in globals():
    with job(snakemake):
        for figure, target in snakemake.output.items():
            main(figure, snakemake.input, target)
