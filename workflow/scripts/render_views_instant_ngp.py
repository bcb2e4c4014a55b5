"""Render the held-out views of one scene by NVlabs' instant-ngp and compare them with the photographs."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from triptych.radiance.instant_ngp import Program
from triptych.radiance.instant_ngp_scene import evaluate_views
from triptych.scenes.scene import read_scene
from triptych.workflow.files import atomic_folder, write_json
from triptych.workflow.job import Job, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    transforms: Path,
    program: Program,
    snapshot: Path,
    options: dict[str, Any],
    views: Path,
    target: Path,
    running: Job,
) -> None:
    """Fill the folder `views` with pictures and `target` with numbers."""
    scene = read_scene(transforms, downscale=options["downscale"])
    _, heldout = scene.split(options["holdout"])
    with atomic_folder(views) as folder, TemporaryDirectory(dir=target.parent) as scratch:
        result = evaluate_views(
            program, scene, snapshot, heldout, folder, Path(scratch).resolve(), folder_name=views.name
        )
    write_json(target, {**result, "provenance": running.provenance(recipe=options, device="cuda")})


if "snakemake" in globals():
    with job(snakemake) as running:
        main(
            transforms=Path(snakemake.input.transforms),
            program=Program(**snakemake.params.program),
            snapshot=Path(snakemake.input.snapshot),
            options=snakemake.params.recipe,
            views=Path(snakemake.output.views),
            target=Path(snakemake.output.numbers),
            running=running,
        )
