"""Check the build of NVlabs' instant-ngp, then train one scene by it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from triptych.radiance.instant_ngp import Program
from triptych.radiance.instant_ngp_scene import train
from triptych.scenes.scene import read_scene
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        program, recipe = Program(**snakemake.params.program), snakemake.params.recipe
        version, steps, target = program.check(), recipe["steps"], Path(snakemake.output.snapshot)
        scene = read_scene(snakemake.input.transforms, downscale=recipe["downscale"])
        training, _ = scene.split(recipe["holdout"])
        with TemporaryDirectory(dir=target.parent) as scratch:
            seconds = train(program, scene, training, target, Path(scratch).resolve(), steps=steps)
        numbers = {"backend": f"instant-ngp {version}", "steps": steps, "training_seconds": seconds}
        provenance = running.provenance(recipe=recipe, wall_seconds=seconds, device="cuda")
        write_json(snakemake.output.metrics, {**numbers, "provenance": provenance})
