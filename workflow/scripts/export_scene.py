"""Export one scene: its surface as a mesh, and what its cameras see as a point cloud."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.export import export_scene
from triptych.radiance.ray_sampler import read_masks
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import read_scene_file
from triptych.workflow.files import read_json, write_json
from triptych.workflow.job import Job, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *, transforms: Path, weights: Path, field: Path, options: dict[str, Any], output: Path, running: Job
) -> None:
    """Fill the folder `output`, looking through the training cameras."""
    device = choose_radiance_device(options["device"])
    radiance = load_field(weights, field, device=device, precision=options["precision"])
    split = read_json(field)
    scene = read_scene(transforms, downscale=split["downscale"])
    training, _ = scene.split(split["holdout"])
    cameras, masks = scene.cameras.select(training).to(device), read_masks(scene, training)
    what = {name: value for name, value in options.items() if name not in ("device", "precision")}
    world = read_scene_file(transforms).world
    numbers = export_scene(radiance, world, cameras, output, masks=masks, **what)
    write_json(output / "export.json", {**numbers, "provenance": running.provenance(recipe=options)})


if "snakemake" in globals():
    with job(snakemake) as running:
        main(
            transforms=Path(snakemake.input.transforms),
            weights=Path(snakemake.input.weights),
            field=Path(snakemake.input.field),
            options=snakemake.params.recipe,
            output=Path(snakemake.output.numbers).parent,
            running=running,
        )
