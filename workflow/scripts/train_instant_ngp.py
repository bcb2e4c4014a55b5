"""Train one scene by NVlabs' instant-ngp."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from triptych.radiance.instant_ngp import Program
from triptych.radiance.instant_ngp_scene import train
from triptych.scenes.scene import read_scene
from triptych.workflow.files import write_json
from triptych.workflow.job import Job, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    transforms: Path,
    program: Program,
    options: dict[str, Any],
    snapshot: Path,
    metrics: Path,
    running: Job,
) -> None:
    """Check the build, then train by the recipe `options`."""
    version = program.check()
    scene = read_scene(transforms, downscale=options["downscale"])
    training, _ = scene.split(options["holdout"])
    with TemporaryDirectory(dir=snapshot.parent) as scratch:
        seconds = train(program, scene, training, snapshot, Path(scratch).resolve(), steps=options["steps"])
    numbers = {"backend": f"instant-ngp {version}", "steps": options["steps"], "training_seconds": seconds}
    provenance = running.provenance(recipe=options, wall_seconds=seconds, device="cuda")
    write_json(metrics, {**numbers, "provenance": provenance})


if "snakemake" in globals():
    with job(snakemake) as running:
        main(
            transforms=Path(snakemake.input.transforms),
            program=Program(**snakemake.params.program),
            options=snakemake.params.recipe,
            snapshot=Path(snakemake.output.snapshot),
            metrics=Path(snakemake.output.metrics),
            running=running,
        )
