"""Render the held-out views of one scene and compare them with the photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import read_scene
from triptych.workflow.files import atomic_folder, read_json, write_json
from triptych.workflow.job import Job, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    transforms: Path,
    weights: Path,
    field: Path,
    options: dict[str, Any],
    views: Path,
    target: Path,
    running: Job,
) -> None:
    """Fill the folder `views` with pictures and `target` with numbers."""
    radiance = load_field(
        weights, field, device=choose_radiance_device(options["device"]), precision=options["precision"]
    )
    split = read_json(field)
    scene = read_scene(transforms, downscale=split["downscale"])
    _, heldout = scene.split(split["holdout"])
    with atomic_folder(views) as folder:
        result = evaluate_views(scene, radiance, heldout, folder, folder_name=views.name)
    write_json(target, {**result, "provenance": running.provenance(recipe=options)})


if "snakemake" in globals():
    with job(snakemake) as running:
        main(
            transforms=Path(snakemake.input.transforms),
            weights=Path(snakemake.input.weights),
            field=Path(snakemake.input.field),
            options=snakemake.params.recipe,
            views=Path(snakemake.output.views),
            target=Path(snakemake.output.numbers),
            running=running,
        )
