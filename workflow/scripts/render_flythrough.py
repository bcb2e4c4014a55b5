"""Render a film through one scene."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.radiance.flythrough import render_flythrough
from triptych.radiance.scene import read_scene
from triptych.radiance.snapshot import load_field
from triptych.radiance.train import choose_radiance_device
from triptych.run.files import read_json
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, transforms: Path, weights: Path, field: Path, options: dict[str, Any], target: Path) -> None:
    """Write the film `target`, past the training cameras in order of capture."""
    device = choose_radiance_device(options["device"])
    radiance = load_field(weights, field, device=device, precision=options["precision"])
    split = read_json(field)
    scene = read_scene(transforms, downscale=split["downscale"])
    training, _ = scene.split(split["holdout"])
    film = {name: options[name] for name in ("seconds", "fps", "width", "quality")}
    render_flythrough(scene, radiance, target, index=training, **film)


if "snakemake" in globals():
    with job(snakemake):
        main(
            transforms=Path(snakemake.input.transforms),
            weights=Path(snakemake.input.weights),
            field=Path(snakemake.input.field),
            options=snakemake.params.recipe,
            target=Path(snakemake.output.film),
        )
