"""The page: one HTML file that needs nothing but itself."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from triptych.report.estimates import Estimate
from triptych.report.grid_section import GridSection
from triptych.report.overview import anchor, entries, overview
from triptych.report.render_table import Cell, cell_text
from triptych.report.results import Result
from triptych.report.scene_section import Scene
from triptych.report.sections import Section


def render_page(
    *,
    configuration: Sequence[str],
    self_supervision: Section | None = None,
    grid: GridSection | None = None,
    scenes: Sequence[Scene] = (),
) -> str:
    """Fill the template with the parts that were run.

    Args:
        configuration: names of the config files of this run, the last one wins.
        self_supervision: part I, or None if it was switched off.
        grid: part II, or None.
        scenes: part III, one entry a scene.
    """
    results: list[Result] = [
        result for part in (self_supervision, grid, *scenes) if part is not None for result in part.results
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = anchor
    environment.filters["cell_text"] = cell_text
    environment.tests["estimate"] = lambda cell: isinstance(cell, Estimate)
    environment.tests["numeric"] = _is_numeric
    return environment.get_template("page.html").render(
        facts=overview(results, configuration=configuration),
        self_supervision=self_supervision,
        grid=grid,
        scenes=scenes,
        provenance=entries(results),
    )


def _is_numeric(cell: Cell) -> bool:
    return cell is None or isinstance(cell, int | Estimate)
