"""Train the radiance field of one scene."""

from pathlib import Path

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
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        options, transforms = snakemake.params.recipe, snakemake.input.transforms
        output = Path(snakemake.output.metrics).parent
        recipe = Radiance(**options)
        scene = read_scene(transforms, downscale=recipe.downscale)
        check_sides(scene, recipe.downscale)
        masks = [str(mask.file) for mask in scene.masks if mask]
        data = digest_of_files([transforms, *map(str, scene.files), *masks])
        device = choose_radiance_device(recipe.device)
        decisive = {"recipe": options, "data": data, "code": running.code_digest, "torch": torch.__version__}
        checkpoints = Checkpoints(
            Path(f"results/checkpoints/scenes/{snakemake.wildcards.scene}/radiance"),
            digest_of_value(decisive),
            every=60 * snakemake.config["compute"]["checkpoint_minutes"],
            conditions=describe_conditions(device, recipe.precision),
        )
        with saving_when_stopped():
            result = train(
                scene,
                recipe,
                checkpoints=checkpoints,
                events=output / "tensorboard",
                history=output / "history.csv",
            )
        provenance = running.provenance(
            recipe=options,
            seed=recipe.seed,
            wall_seconds=result.metrics["training_seconds"],
            device=str(device),
            precision=precision_used(result.radiance.field, recipe.precision),
            data=data[:16],
        )
        save_field(
            output / "field.safetensors",
            output / "field.json",
            result.radiance,
            downscale=recipe.downscale,
            holdout=recipe.holdout,
            corrections=result.corrections,
            provenance=provenance,
        )
        numbers = {"backend": "triptych", **result.metrics, "provenance": provenance}
        write_json(output / "metrics.json", numbers)
