"""Pictures of a scene of part 3, each named by the output of its rule."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from triptych.report.contact_sheet import contact_sheet_figure
from triptych.report.figures import save_figure
from triptych.report.part3_pictures import cameras_figure, matches_figure, read_matches, strips_figure
from triptych.report.results import read_history, read_result
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def strips(inputs: Any) -> Figure:
    """Photographs, renderings, errors, depth and normals of typical held-out views."""
    return strips_figure(read_result(inputs.numbers).values["views"], Path(inputs.numbers).parent)


def cameras(inputs: Any) -> Figure:
    """Cameras and sparse points."""
    held_out = [view["name"] for view in read_result(inputs.numbers).values["views"]]
    return cameras_figure(Path(inputs.transforms), cloud=Path(inputs.cloud), held_out=held_out)


def matches(inputs: Any) -> Figure:
    """The matrix of verified matches."""
    return matches_figure(read_matches(Path(inputs.database)))


def contact_sheet(inputs: Any) -> Figure:
    """Thumbnails of the frames that were kept and left out."""
    return contact_sheet_figure(read_history(inputs.table), Path(inputs.thumbnails))


FIGURES = {"strips": strips, "cameras": cameras, "matches": matches, "contact_sheet": contact_sheet}


def main(figure: str, inputs: Any, target: str | Sequence[str]) -> None:
    """Draw one of `FIGURES`; a second target is for a narrow page."""
    save_figure(lambda: FIGURES[figure](inputs), target)


if "snakemake" in globals():
    with job(snakemake):
        for figure, target in snakemake.output.items():
            main(figure, snakemake.input, target)
