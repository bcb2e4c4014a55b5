"""Render a film through one scene."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.flythrough import render_flythrough
from triptych.radiance.snapshot import load_field
from triptych.scenes.camera_path import camera_path, keyframe_path
from triptych.scenes.keyframes import read_camera_path
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import read_scene_file
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
    path: Path | None,
    options: dict[str, Any],
    target: Path,
) -> None:
    """Write the film `target` of the scene `name`: along a recorded path, or past its training cameras.

    These are passed in the order of their names, which for the frames of a film is that of capture.
    """
    device = choose_radiance_device(options["device"])
    radiance = load_field(weights, field, device=device, precision=options["precision"])
    seconds, fps, width = options["seconds"], options["fps"], options["width"]
    if path is not None:
        recorded = read_camera_path(path, scene=name)
        seconds, fps = recorded.seconds, recorded.fps
    frames = max(2, round(seconds * fps))
    if path is not None:
        cameras = keyframe_path(recorded, read_scene_file(transforms).world, frames=frames, width=width)
    else:
        split = read_json(field)
        scene = read_scene(transforms, downscale=split["downscale"])
        training, _ = scene.split(split["holdout"])
        cameras = camera_path(scene.cameras.select(training), frames=frames, seconds=seconds, width=width)
    render_flythrough(cameras, radiance, target, fps=fps, quality=options["quality"])


if "snakemake" in globals():
    with job(snakemake):
        path = snakemake.input.path
        main(
            name=snakemake.wildcards.scene,
            transforms=Path(snakemake.input.transforms),
            weights=Path(snakemake.input.weights),
            field=Path(snakemake.input.field),
            path=Path(path) if path else None,
            options=snakemake.params.recipe,
            target=Path(snakemake.output.film),
        )
