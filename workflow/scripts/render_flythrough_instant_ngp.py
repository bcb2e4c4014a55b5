"""Render a film through one scene by NVlabs' instant-ngp."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from triptych.radiance.flythrough import film_cameras
from triptych.radiance.instant_ngp import Program
from triptych.radiance.instant_ngp_scene import render_flythrough
from triptych.scenes.scene import read_scene
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    name: str,
    transforms: Path,
    program: Program,
    snapshot: Path,
    path: Path | None,
    options: dict[str, Any],
    target: Path,
) -> None:
    """Write the film `target` of the scene `name`: along a recorded path, or past its training cameras."""
    scene = read_scene(transforms, downscale=options["downscale"])
    training, _ = scene.split(options["holdout"])
    cameras, fps = film_cameras(transforms, scene, training, name=name, path=path, options=options)
    with TemporaryDirectory(dir=target.parent) as scratch:
        render_flythrough(
            program, cameras, snapshot, target, Path(scratch).resolve(), fps=fps, quality=options["quality"]
        )


if "snakemake" in globals():
    with job(snakemake):
        path = snakemake.input.path
        main(
            name=snakemake.wildcards.scene,
            transforms=Path(snakemake.input.transforms),
            program=Program(**snakemake.params.program),
            snapshot=Path(snakemake.input.snapshot),
            path=Path(path) if path else None,
            options=snakemake.params.recipe,
            target=Path(snakemake.output.film),
        )
