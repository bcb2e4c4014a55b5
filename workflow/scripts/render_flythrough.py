"""Render a film through one scene: along a recorded path, or past its training cameras.

These are passed in the order of their names, which for the frames of a film is that of capture.
"""

from pathlib import Path

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.flythrough import film_cameras, render_flythrough
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import read_scene
from triptych.workflow.files import read_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        files, recipe = snakemake.input, snakemake.params.recipe
        weights, field, device = (
            Path(files.weights),
            Path(files.field),
            choose_radiance_device(recipe["device"]),
        )
        radiance = load_field(weights, field, device=device, precision=recipe["precision"])
        split = read_json(field)
        scene, trained = read_scene(files.transforms, downscale=split["downscale"]), read_json(files.metrics)
        cameras, fps = film_cameras(
            Path(files.transforms),
            scene,
            scene.split(split["holdout"])[0],
            name=snakemake.wildcards.scene,
            path=Path(files.path) if files.path else None,
            options=recipe,
            samples=trained["steps"] * trained["samples_per_step"],
        )
        target = Path(snakemake.output.film)
        render_flythrough(cameras, radiance, target, fps=fps, quality=recipe["quality"])
