"""The page: everything that was run, in one file; and a few lines of it for the terminal."""

from typing import Any

from triptych.report.page import part_answers, render_page, summary
from triptych.report.part1 import self_supervision_section
from triptych.report.part1_unlabelled import unlabelled_section
from triptych.report.part2 import grid_section
from triptych.report.part3 import scene_section
from triptych.workflow.files import write_text
from triptych.workflow.job import job


def main(
    *,
    configuration: list[str],
    self_supervision: dict[str, Any] | None,
    unlabelled: dict[str, Any] | None = None,
    grid: dict[str, Any] | None,
    scenes: dict[str, dict[str, Any]],
    page: str,
    text: str,
) -> None:
    """Each part is given as the arguments of its section, or left out if it was not run.

    `unlabelled` is part 1 of images without labels; `page` and `text` are the targets.
    """
    first = self_supervision_section(**self_supervision) if self_supervision else None
    first = unlabelled_section(**unlabelled) if unlabelled else first
    second = grid_section(**grid) if grid else None
    third = [scene_section(name, **files) for name, files in scenes.items()]
    rendered = render_page(configuration=configuration, self_supervision=first, grid=second, scenes=third)
    write_text(page, rendered)
    write_text(text, summary(part_answers([part for part in (first, second) if part], third)))


if "snakemake" in globals():
    with job(snakemake):
        main(
            configuration=snakemake.params.configuration,
            **snakemake.params.parts,
            page=snakemake.output.page,
            text=snakemake.output.summary,
        )
