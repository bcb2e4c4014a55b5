"""A tiny field that is worth looking at without any training: an opaque marble of random colours."""

import json
from pathlib import Path

import torch
from sphere_scene import RADIUS, write_ball_scene

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import save_field

SCALE = 0.33
SHAPE = FieldShape(levels=4, features=4, log2_table=11, finest_resolution=64)
CELLS = 32
DENSITY = 0.5  # weight of everything that makes the marble opaque


def ball_field() -> RadianceField:
    """The marble: as large as the ball of `sphere_scene`, around (0.5, 0.5, 0.5), with nothing around it."""
    generator = torch.Generator().manual_seed(0)
    field = Field(SHAPE, generator=generator).requires_grad_(False)
    for parameter in field.grid.parameters():  # colours that vary from place to place
        parameter.uniform_(-1, 1, generator=generator)
    field.density_network[-1].weight[0] = DENSITY
    field.colour_network[-1].weight *= 4
    occupancy = OccupancyGrid(aabb_scale=1, resolution=CELLS, device=torch.device("cpu"))
    centres, _ = occupancy.cell_centres(torch.arange(CELLS**3))
    inside = (centres - 0.5).norm(dim=-1) < RADIUS * SCALE
    occupancy.set_occupied(inside.view(1, CELLS, CELLS, CELLS))
    return RadianceField(
        field=field,
        occupancy=occupancy,
        near=0.05,
        background=torch.zeros(3),
        step_scale=4.0,
        precision="float32",
    )


def write_ball_results(folder: Path) -> Path:
    """Write what the workflow leaves of a trained scene, as far as the viewer reads it; return the folder."""
    write_ball_scene(folder, images=8, side=40)
    (folder / "radiance").mkdir()
    save_field(
        folder / "radiance/field.safetensors",
        folder / "radiance/field.json",
        ball_field(),
        downscale=1,
        holdout=8,
    )
    points = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(1)))
    lines = ["ply", "format ascii 1.0", f"element vertex {len(points)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    rows = [f"{x:.4f} {y:.4f} {z:.4f} 255 255 255" for x, y, z in (points * RADIUS).tolist()]
    (folder / "sparse.ply").write_text("\n".join([*lines, "end_header", *rows]) + "\n")
    assert json.loads((folder / "transforms.json").read_text())["aabb_scale"] == 1
    return folder
