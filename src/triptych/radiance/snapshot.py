"""A trained field on disk: weights and occupancy as `.safetensors`, everything else as JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.run.errors import TriptychError
from triptych.run.files import atomic_path, read_json, write_json

FORMAT = "triptych-radiance-1"
OCCUPANCY = "occupancy"


def save_field(weights: Path, description: Path, scene: RadianceField, **facts: Any) -> None:
    """Write a field in float32.

    Args:
        weights: the `.safetensors` file.
        description: the `.json` file.
        scene: what to write.
        facts: anything else worth knowing later (how the images were split, provenance).
    """
    tensors = {
        name: value.detach().float().cpu().contiguous() for name, value in scene.field.state_dict().items()
    }
    tensors[OCCUPANCY] = scene.occupancy.occupied.to(torch.uint8).cpu()
    with atomic_path(weights) as temporary:
        save_file(tensors, temporary)
    write_json(
        description,
        {
            "format": FORMAT,
            "shape": asdict(scene.field.shape),
            "near": scene.near,
            "background": scene.background.tolist(),
            "coarseness": scene.coarseness,
            **facts,
        },
    )


def load_field(
    weights: Path, description: Path, *, device: torch.device, precision: str = "auto"
) -> RadianceField:
    """Read what `save_field` wrote.

    Raises:
        TriptychError: a file is missing, unreadable or of another format.
    """
    try:
        about = read_json(description)
        tensors = load_file(weights)
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}")
        shape = FieldShape(**about["shape"])
        occupied = tensors.pop(OCCUPANCY).bool().to(device)
        field = Field(shape)
        field.load_state_dict(tensors)
        near, coarseness = float(about["near"]), float(about["coarseness"])
        background = torch.tensor(about["background"], device=device)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TriptychError(f"{weights}: cannot be loaded ({reason}); train this scene again") from error
    occupancy = OccupancyGrid(aabb_scale=shape.aabb_scale, resolution=occupied.shape[-1], device=device)
    occupancy.set_occupied(occupied)
    return RadianceField(
        field=field.to(device).requires_grad_(False),
        occupancy=occupancy,
        near=near,
        background=background,
        coarseness=coarseness,
        precision=precision,
    )
