"""Train the radiance field of one scene."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from triptych.config.reconstruction import Radiance
from triptych.radiance.backend import choose_radiance_device, precision_used
from triptych.radiance.evaluate import check_sides
from triptych.radiance.snapshot import save_field
from triptych.radiance.train import train
from triptych.scenes.scene import read_scene
from triptych.training.checkpoint import Checkpoints
from triptych.training.stopping import saving_when_stopped
from triptych.workflow.devices import describe_conditions
from triptych.workflow.files import digest_of_files, digest_of_value, write_json
from triptych.workflow.job import Job, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *, transforms: Path, options: dict[str, Any], output: Path, checkpoints: Path, every: float, running: Job
) -> None:
    """Train by the recipe `options` and fill the folder `output`; save the state every `every` seconds."""
    recipe = Radiance(**options)
    scene = read_scene(transforms, downscale=recipe.downscale)
    check_sides(scene, recipe.downscale)
    data = digest_of_files(
        [str(transforms), *map(str, scene.files), *(str(mask.file) for mask in scene.masks if mask)]
    )
    device = choose_radiance_device(recipe.device)
    fingerprint = digest_of_value(
        {
            "recipe": options,
            "data": data,
            "code": running.code_digest,
            "torch": torch.__version__,
        }
    )
    conditions = describe_conditions(device, recipe.precision)
    states = Checkpoints(checkpoints, fingerprint, every=every, conditions=conditions)
    with saving_when_stopped():
        result = train(
            scene, recipe, checkpoints=states, events=output / "tensorboard", history=output / "history.csv"
        )
    provenance = running.provenance(
        recipe=options,
        seed=recipe.seed,
        wall_seconds=result.metrics["training_seconds"],
        device=str(device),
        precision=precision_used(result.radiance.field, recipe.precision),
        data=data[:16],
    )
    split = {"downscale": recipe.downscale, "holdout": recipe.holdout}
    weights, description = output / "field.safetensors", output / "field.json"
    save_field(
        weights,
        description,
        result.radiance,
        **split,
        corrections=result.corrections,
        provenance=provenance,
    )
    write_json(output / "metrics.json", {"backend": "triptych", **result.metrics, "provenance": provenance})


if "snakemake" in globals():
    with job(snakemake) as running:
        main(
            transforms=Path(snakemake.input.transforms),
            options=snakemake.params.recipe,
            output=Path(snakemake.output.metrics).parent,
            checkpoints=Path(f"results/checkpoints/scenes/{snakemake.wildcards.scene}/radiance"),
            every=60 * snakemake.config["compute"]["checkpoint_minutes"],
            running=running,
        )
