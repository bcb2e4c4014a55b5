"""A tiny scene with known poses: a ball whose colour is its position, drawn without the library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RADIUS = 0.9  # in the file's coordinates: 0.3 in the unit cube
DISTANCE = 3.0
FOCAL = 1.2  # in image widths


def ring_of_poses(count: int) -> np.ndarray:
    """Camera-to-world (count, 4, 4), OpenGL axes, looking at the origin from a wavy ring."""
    poses = []
    for share in np.arange(count) / count:
        angle, height = 2 * np.pi * share, 0.6 * np.sin(4 * np.pi * share)
        eye = np.array([np.cos(angle), np.sin(angle), height])
        eye *= DISTANCE / np.linalg.norm(eye)
        back = eye / DISTANCE
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(back, right), back, eye], axis=1)
        poses.append(pose)
    return np.stack(poses)


def draw_ball(pose: np.ndarray, side: int, samples: int = 4) -> np.ndarray:
    """(side, side, 4) uint8: colour by surface position, transparent around the ball, smooth at its edge."""
    fine = side * samples
    columns, rows = np.meshgrid(np.arange(fine) + 0.5, np.arange(fine) + 0.5)
    focal = FOCAL * fine
    local = np.stack([(columns - fine / 2) / focal, (fine / 2 - rows) / focal, -np.ones_like(rows)], -1)
    directions = local @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    along = -directions @ pose[:3, 3]
    inside = RADIUS**2 - (DISTANCE**2 - along**2)
    surface = pose[:3, 3] + (along - np.sqrt(np.maximum(inside, 0)))[..., None] * directions
    colour = 0.5 + 0.45 * np.sin(3 * surface / RADIUS)
    weighted = np.concatenate([colour, np.ones_like(colour[..., :1])], axis=-1) * (inside > 0)[..., None]
    weighted = weighted.reshape(side, samples, side, samples, 4).mean(axis=(1, 3))
    alpha = weighted[..., 3:]
    image = np.concatenate([weighted[..., :3] / np.maximum(alpha, 1e-9), alpha], axis=-1)
    return (image * 255).round().astype(np.uint8)


def write_ball_scene(folder: Path, *, images: int = 40, side: int = 40) -> Path:
    """Write images and `transforms.json`; return the latter's path."""
    (folder / "frames").mkdir(parents=True)
    frames: list[dict[str, Any]] = []
    for number, pose in enumerate(ring_of_poses(images)):
        Image.fromarray(draw_ball(pose, side)).save(folder / f"frames/{number:03d}.png")
        frames.append({"file_path": f"frames/{number:03d}.png", "transform_matrix": pose.tolist()})
    path = folder / "transforms.json"
    lens = {"fl_x": FOCAL * side, "cx": side / 2, "cy": side / 2, "w": side, "h": side}
    path.write_text(json.dumps({**lens, "aabb_scale": 1, "frames": frames}))
    return path


def write_blender_scene(folder: Path, *, train: int = 12, test: int = 4, side: int = 40) -> Path:
    """Write the ball as NeRF's synthetic scenes come: three files, names that clash. Returns `folder`."""
    poses = iter(np.random.default_rng(0).permutation(ring_of_poses(train + test + 1)))
    for split, count in (("train", train), ("test", test), ("val", 1)):
        (folder / split).mkdir(parents=True)
        frames: list[dict[str, Any]] = []
        for number in range(count):
            pose = next(poses)
            Image.fromarray(draw_ball(pose, side)).save(folder / split / f"r_{number}.png")
            frames.append(
                {"file_path": f"./{split}/r_{number}", "rotation": 0.01, "transform_matrix": pose.tolist()}
            )
        content = {"camera_angle_x": 2 * np.arctan(0.5 / FOCAL), "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(content))
    return folder
