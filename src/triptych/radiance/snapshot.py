"""A trained field on disk: weights and occupancy as `.safetensors`, everything else as JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.radiance.tiny_cuda import check_modules
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, read_json, write_json, write_tensors

FORMAT = "triptych-radiance-1"
OCCUPANCY = "occupancy"


def save_field(weights: Path, description: Path, radiance: RadianceField, **facts: Any) -> None:
    """Write a field in float32.

    Args:
        weights: the `.safetensors` file.
        description: the `.json` file.
        radiance: the trained field.
        facts: more entries of the description (how the images were split, provenance).
    """
    tensors = {
        name: value.detach().float().cpu().contiguous() for name, value in radiance.field.state_dict().items()
    }
    tensors[OCCUPANCY] = radiance.occupancy.occupied.to(torch.uint8).cpu()
    with atomic_path(weights) as temporary:
        write_tensors(temporary, tensors)
    write_json(
        description,
        {
            "format": FORMAT,
            "shape": asdict(radiance.field.shape),
            "near": radiance.near,
            "background": radiance.background.tolist(),
            "coarseness": radiance.step_scale,
            "precision": radiance.precision,
            **facts,
        },
    )


def _precision_on(device: torch.device, trained: str) -> str:
    """The precision to render in: as in training, except that a CPU may have no float16 or bfloat16."""
    return "auto" if device.type == "cpu" and trained != "float32" else trained


def load_field(
    weights: Path, description: Path, *, device: torch.device, precision: str = "auto"
) -> RadianceField:
    """Read what `save_field` wrote.

    Args:
        weights: the `.safetensors` file.
        description: the `.json` file.
        device: device to render on.
        precision: number format of the networks; `auto` is that of the training, if the device supports it.

    Raises:
        TriptychError: a file is missing, unreadable or of another format, or the field needs a module
            or a device that this machine lacks.
    """
    try:
        about = read_json(description)
        tensors = load_file(weights)
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}")
        shape = FieldShape(**about["shape"])
        occupied = tensors.pop(OCCUPANCY).bool().to(device)
        check_modules(shape.modules, device)
        field = Field(shape)
        field.load_state_dict(tensors)
        near, step_scale = float(about["near"]), float(about["coarseness"])
        background = torch.tensor(about["background"], device=device)
        if precision == "auto":
            precision = _precision_on(device, str(about.get("precision", "auto")))
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
        step_scale=step_scale,
        precision=precision,
    )
