"""Render a film through one scene."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.flythrough import film_cameras, render_flythrough
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import read_scene
from triptych.workflow.files import read_json
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    name: str,
    transforms: Path,
    weights: Path,
    field: Path,
    metrics: Path,
    path: Path | None,
    options: dict[str, Any],
    target: Path,
) -> None:
    """Write the film `target` of the scene `name`: along a recorded path, or past its training cameras.

    These are passed in the order of their names, which for the frames of a film is that of capture.
    """
    device = choose_radiance_device(options["device"])
    radiance = load_field(weights, field, device=device, precision=options["precision"])
    split, trained = read_json(field), read_json(metrics)
    scene = read_scene(transforms, downscale=split["downscale"])
    cameras, fps = film_cameras(
        transforms,
        scene,
        scene.split(split["holdout"])[0],
        name=name,
        path=path,
        options=options,
        samples=trained["steps"] * trained["samples_per_step"],
    )
    render_flythrough(cameras, radiance, target, fps=fps, quality=options["quality"])


if "snakemake" in globals():
    with job(snakemake):
        path = snakemake.input.path
        main(
            name=snakemake.wildcards.scene,
            transforms=Path(snakemake.input.transforms),
            weights=Path(snakemake.input.weights),
            field=Path(snakemake.input.field),
            metrics=Path(snakemake.input.metrics),
            path=Path(path) if path else None,
            options=snakemake.params.recipe,
            target=Path(snakemake.output.film),
        )
