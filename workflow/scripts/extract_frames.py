"""Choose the frames of a scene."""

from typing import TYPE_CHECKING, Any

from triptych.sfm.frames import frames_of_folder, frames_of_video
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

# Neighbouring frames of a film show the same; neighbours in a folder only happen to.
REJECT_BELOW = {"orbit": 0.4, "video": 0.4, "folder": 0.0}


def main(source: str, folder: str, manifest: str, recipe: dict[str, Any], threads: int) -> None:
    """Take frames from `source`, a film or a folder, as the recipe says."""
    reject_below = recipe["reject_below"]
    common = {
        "reject_below": REJECT_BELOW[recipe["source"]] if reject_below is None else reject_below,
        "neighbours": recipe["neighbours"],
        "max_size": recipe["max_size"],
    }
    if recipe["source"] == "folder":
        frames_of_folder(source, folder, manifest, **common)
    else:
        frames_of_video(source, folder, manifest, **common, fps=recipe["fps"], threads=threads)


if "snakemake" in globals():
    with job(snakemake):
        recipe = snakemake.params.recipe
        film = snakemake.input.film
        main(
            recipe["path"] if recipe["source"] == "folder" else str(film),
            snakemake.output.frames,
            snakemake.output.manifest,
            recipe,
            snakemake.threads,
        )
