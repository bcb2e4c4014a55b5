"""Export one scene: its surface as a mesh, and what its training cameras see as a point cloud."""

from pathlib import Path

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.export import export_scene
from triptych.radiance.ray_sampler import read_masks
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import read_scene_file
from triptych.workflow.files import read_json, write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        files, recipe = snakemake.input, snakemake.params.recipe
        weights, field, device = (
            Path(files.weights),
            Path(files.field),
            choose_radiance_device(recipe["device"]),
        )
        radiance = load_field(weights, field, device=device, precision=recipe["precision"])
        split = read_json(field)
        scene = read_scene(files.transforms, downscale=split["downscale"])
        training, _ = scene.split(split["holdout"])
        numbers = export_scene(
            radiance,
            read_scene_file(files.transforms).world,
            scene.cameras.select(training).to(device),
            Path(snakemake.output.numbers).parent,
            masks=read_masks(scene, training),
            **{name: value for name, value in recipe.items() if name not in ("device", "precision")},
        )
        write_json(snakemake.output.numbers, {**numbers, "provenance": running.provenance(recipe=recipe)})
