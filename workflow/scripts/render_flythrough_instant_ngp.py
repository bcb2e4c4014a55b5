"""Render a film through one scene by NVlabs' instant-ngp."""

from pathlib import Path
from tempfile import TemporaryDirectory

from triptych.radiance.flythrough import film_cameras
from triptych.radiance.instant_ngp import Program
from triptych.radiance.instant_ngp_scene import render_flythrough
from triptych.scenes.scene import read_scene
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        files, recipe, target = snakemake.input, snakemake.params.recipe, Path(snakemake.output.film)
        scene = read_scene(files.transforms, downscale=recipe["downscale"])
        cameras, fps = film_cameras(
            Path(files.transforms),
            scene,
            scene.split(recipe["holdout"])[0],
            name=snakemake.wildcards.scene,
            path=Path(files.path) if files.path else None,
            options=recipe,
        )
        with TemporaryDirectory(dir=target.parent) as scratch:
            render_flythrough(
                Program(**snakemake.params.program),
                cameras,
                Path(files.snapshot),
                target,
                Path(scratch).resolve(),
                fps=fps,
                quality=recipe["quality"],
            )
