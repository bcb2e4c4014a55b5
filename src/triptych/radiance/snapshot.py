"""A trained field on disk: weights and occupancy as `.safetensors`, everything else as JSON."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.hash_grid import level_resolutions
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.radiance.step_schedule import MAX_STEP_SCALE
from triptych.scenes.scene_json import AABB_SCALES
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, read_json, write_json, write_tensors

FORMAT = "triptych-radiance-1"
OCCUPANCY = "occupancy"


def save_field(weights: Path, description: Path, radiance: RadianceField, **facts: Any) -> None:
    """Write a field in float32: weights as `.safetensors`, its description, with more `facts`, as `.json`."""
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


# Largest values of a shape that a field of this project can have; each decides how much is allocated.
LARGEST = {
    "levels": 32,
    "features": 16,
    "log2_table": 28,
    "base_resolution": 2**12,
    "finest_resolution": 2**20,
    "images": 10**6,
    "appearance": 1024,
}
MAX_CELLS = 512  # of the occupancy grid, a side
UNREADABLE = (OSError, SafetensorError, ArithmeticError, ValueError, LookupError, TypeError, RuntimeError)


def _shape(about: dict[str, Any]) -> FieldShape:
    """The shape in a description. Raises `ValueError` or `TypeError` if no field here has it."""
    values = dict(about["shape"])
    if (modules := values.pop("modules", "torch")) != "torch":  # an entry of older versions
        raise ValueError(f"it is made of {modules}, not of PyTorch's modules")
    shape = FieldShape(**values)
    for name, largest in LARGEST.items():
        value, least = getattr(shape, name), 0 if name in ("images", "appearance") else 1
        if type(value) is not int or not least <= value <= largest:
            raise ValueError(f"{name} is {value!r}, not a whole number from {least} to {largest}")
    if shape.aabb_scale not in AABB_SCALES or shape.base_resolution > shape.finest_resolution:
        raise ValueError("its box or its resolutions are none of a field")
    return shape


def _check_tensors(weights: Path, shape: FieldShape) -> None:
    """Raise `ValueError` unless the tensors in the file's header are as large as those of the shape.

    A field of the shape takes no more memory than the file then; whether each tensor fits shows when it is
    loaded.
    """
    with safe_open(weights, framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    cells = found.pop(OCCUPANCY, ())
    side = cells[-1] if cells else 0
    if cells != (shape.aabb_scale.bit_length(), side, side, side) or side % 8 or not 8 <= side <= MAX_CELLS:
        raise ValueError(f"its occupancy grid has the shape {cells}")
    finest = shape.finest_resolution * shape.aabb_scale
    resolutions = level_resolutions(shape.levels, shape.base_resolution, finest)
    rows = sum(min((resolution + 1) ** 3, 2**shape.log2_table) for resolution in resolutions)
    named = rows * shape.features + shape.images * shape.appearance
    if named > sum(map(math.prod, found.values())):
        raise ValueError("its tensors are smaller than its description says")


def _number(about: dict[str, Any], name: str, low: float, high: float) -> float:
    value = float(about[name])
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:g}, not between {low:g} and {high:g}")
    return value


def load_field(
    weights: Path, description: Path, *, device: torch.device, precision: str = "auto"
) -> RadianceField:
    """Read what `save_field` wrote.

    The precision `auto` is that of the training, if the device supports it. Raises `TriptychError` if a file
    is missing, unreadable or of another format.
    """
    try:
        about = read_json(description)
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}")
        shape = _shape(about)
        near, step_scale = _number(about, "near", 0, 1e6), _number(about, "coarseness", 0.1, MAX_STEP_SCALE)
        background = torch.tensor([float(value) for value in about["background"]], device=device)
        if background.shape != (3,) or not background.isfinite().all():
            raise ValueError("its background is no colour")
        _check_tensors(weights, shape)
        tensors = load_file(weights)
        occupied = tensors.pop(OCCUPANCY).bool().to(device)
        field = Field(shape)
        field.load_state_dict(tensors)
        if precision == "auto":
            precision = _precision_on(device, str(about.get("precision", "auto")))
    except UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
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
