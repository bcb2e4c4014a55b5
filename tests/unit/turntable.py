"""Photographs of a still life that turns before a still wall, with masks and true poses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.sfm.orbit import GRID, intrinsics, look_at, render
from triptych.sfm.still_life import StillLife, still_life
from triptych.sfm.surfaces import Texture

CENTRE = np.array([[0.5, 0.5]])
DISTANCE = 4.0


def _painted(scene: StillLife) -> StillLife:
    """The solids without detail in white, everything else in black."""

    def paint(value: float) -> Texture:
        return Texture(np.full((8, 8, 3), value, np.float32), 1.0)

    solids = [replace(solid, texture=paint(1)) for solid in scene.solids]  # type: ignore[type-var]
    return StillLife(solids, replace(scene.ground, texture=paint(0)), replace(scene.dome, texture=paint(0)))


def photograph_turntable(folder: Path, *, turns: int = 14, size: tuple[int, int] = (256, 192)) -> None:
    """Write `images/`, `masks/` and `truth.json`.

    The camera takes `turns` photographs of a whole turn from each of two heights. What stands still is a
    room, which is what the masks hide.
    """
    width, height = size
    camera = intrinsics(width, height)
    scene = still_life(density=camera["fl_x"] / DISTANCE)
    painted, room = _painted(scene), replace(scene, solids=())
    frames = []
    for elevation in np.radians([22, 44]):
        radius, up = DISTANCE * np.cos(elevation), DISTANCE * np.sin(elevation)
        wall = render(
            room, look_at(np.array([radius, 0, up]), np.zeros(3)), width=width, height=height, samples=GRID
        )
        for azimuth in np.linspace(0, 2 * np.pi, turns, endpoint=False):
            pose = look_at(np.array([radius * np.cos(azimuth), radius * np.sin(azimuth), up]), np.zeros(3))
            object_ = render(scene, pose, width=width, height=height, samples=GRID)
            seen = render(painted, pose, width=width, height=height, samples=CENTRE).any(axis=2)
            name = f"{len(frames):03d}"
            for kind, pixels in (
                ("images", np.where(seen[..., None], object_, wall)),
                ("masks", np.uint8(seen) * 255),
            ):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / kind / f"{name}.png")
            frames.append({"file_path": f"images/{name}.png", "transform_matrix": pose.tolist()})
    (folder / "truth.json").write_text(json.dumps({**camera, "aabb_scale": 4, "frames": frames}))
