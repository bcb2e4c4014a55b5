"""Render a film through one scene: along a recorded path, or past its training cameras.

These are passed in the order of their names, which for the frames of a film is that of capture.
"""

from pathlib import Path

from triptych.radiance.flythrough import film_cameras, render_flythrough
from triptych.radiance.trained import load_trained
from triptych.workflow.files import read_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        files, recipe = snakemake.input, snakemake.params.recipe
        trained = load_trained(files.transforms, files.weights, files.field, recipe)
        metrics = read_json(files.metrics)
        cameras, fps = film_cameras(
            Path(files.transforms),
            trained.scene,
            trained.training,
            name=snakemake.wildcards.scene,
            path=Path(files.path) if files.path else None,
            options=recipe,
            samples=metrics["steps"] * metrics["samples_per_step"],
        )
        target = Path(snakemake.output.film)
        render_flythrough(cameras, trained.radiance, target, fps=fps, quality=recipe["quality"])
