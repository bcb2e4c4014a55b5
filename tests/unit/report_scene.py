"""A finished scene in small, and pictures of augmentations and attention, as the other stages write them."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import trimesh
from PIL import Image

from triptych.data.video import write_video
from triptych.report.part3_pictures import PAIR_BASE
from triptych.workflow.files import write_json


def pictures(count: int = 8) -> np.ndarray:
    """(count, 32, 32, 3) uint8."""
    return np.uint8([255 * picture(0.7 * number, width=32, height=32)[0] for number in range(count)])


def examples(augmentations: int, classes: int) -> dict[str, np.ndarray]:
    """What `augmentation_examples` returns; the last augmentation blends each image with the next."""
    original, labels = pictures(), np.arange(8)
    images, targets = (np.stack([values] * augmentations) for values in (original, np.eye(classes)[labels]))
    images[-1] = 0.7 * original + 0.3 * np.roll(original, -1, axis=0)
    targets[-1] = 0.7 * targets[0] + 0.3 * np.roll(targets[0], -1, axis=0)
    return {"original": original, "labels": labels, "images": images, "targets": targets.astype(np.float32)}


def rollouts(augmentations: int, classes: int) -> dict[str, np.ndarray]:
    """What `attention_maps` returns; every third class is predicted wrong."""
    y, x = np.mgrid[-1:1:8j, -1:1:8j]
    maps = np.exp(-2 * (x**2 + y**2))
    predicted = (np.arange(8) + (np.arange(8) % 3 == 2)) % classes
    return {
        "images": pictures(),
        "labels": np.arange(8),
        "maps": np.tile(maps.astype(np.float32), (augmentations, 8, 1, 1)),
        "predicted": np.tile(predicted, (augmentations, 1)),
    }


def picture(angle: float, *, width: int = 320, height: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Waves that turn with the angle: colours (height, width, 3) in 0..1, depth (height, width)."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    depth = 2 + x * np.cos(angle) + y * np.sin(angle)
    return 0.5 + 0.4 * np.sin(9 * depth[..., None] + np.array([0.0, 2.0, 4.0])), depth


def write_scene(folder: Path, facts: Callable[[int | None], dict[str, object]]) -> None:
    """Result files of a finished scene; `facts` makes their provenance."""
    generator = np.random.default_rng(0)
    _frames(folder, generator)
    numbers = {
        "frames.json": {"kept": 44, "warnings": ["orbit.mp4: damaged, 48 of 50 frames decoded"]},
        "sfm.json": {
            "images": 44,
            "registered": 44,
            "points": 12_345,
            "mean_reprojection_error": 0.61,
            "mean_track_length": 8.0,
            "advice": None,
            "matcher": "exhaustive",
            "verified_pairs": 946,
            "attempts": [{"attempt": "as configured", "registered": 44, "chosen": True}],
        },
        "pose_error.json": {"median_rotation_degrees": 0.021, "median_position_percent": 0.034},
        "radiance/metrics.json": {"backend": "triptych", "training_seconds": 350.0, "steps": 1000},
        "views.json": {"psnr": 27.2, "ssim": 0.91, "views": _views(folder)},
    }
    for name, values in numbers.items():
        write_json(
            folder / name, {**values, "provenance": facts(0 if name == "radiance/metrics.json" else None)}
        )
    step = np.arange(0, 1001, 20)
    psnr = 28 - 14 * np.exp(-step / 200)
    held_out = np.where(step % 200 == 0, psnr - 0.8, np.nan)
    curves = {"seconds": step * 0.35, "train_psnr": psnr, "heldout_psnr": held_out}
    pd.DataFrame({"step": step, **curves}).to_csv(folder / "radiance/history.csv", index=False)
    film = (np.uint8(255 * picture(turn)[0]) for turn in np.linspace(0, 6, 36))
    write_video(folder / "flythrough.mp4", film, fps=12)
    _cameras(folder)
    write_matches(folder / "database.db")


def _frames(folder: Path, generator: np.random.Generator) -> None:
    """Every eleventh frame is blurry."""
    frame = np.arange(48)
    sharpness = 140 + 30 * np.sin(frame / 5) + generator.normal(0, 8, 48) - 90 * (frame % 11 == 7)
    why = np.where(sharpness > 70, "kept", "blurry: 20 of 35")
    columns = {"frame": frame, "time": frame / 2, "sharpness": sharpness, "kept": sharpness > 70, "why": why}
    (folder / "thumbnails").mkdir(parents=True)
    pd.DataFrame(columns).to_csv(folder / "frames.csv", index=False)
    for number in frame:
        Image.new("RGB", (160, 120), (5 * number % 256, 90, 120)).save(
            folder / f"thumbnails/{number:06d}.jpg"
        )


def _views(folder: Path) -> list[dict[str, Any]]:
    """Entries of views.json, and their pictures."""
    (folder / "views").mkdir()
    views = []
    for number, angle in enumerate((0.1, 1.3, 2.9)):
        colours, depth = picture(angle)
        blurred = (colours + np.roll(colours, 1, axis=0)) / 2
        pictures = {
            "truth": np.uint8(255 * colours),
            "render": np.uint8(255 * blurred),
            "error": np.uint8(255 * np.abs(colours - blurred)),
            "depth": np.uint16(5000 * depth),
            "normal": np.uint8(255 * colours[..., ::-1]),
        }
        files = {kind: f"views/{number:03d}_{kind}.png" for kind in pictures}
        for kind, pixels in pictures.items():
            Image.fromarray(pixels).save(folder / files[kind])
        views.append({"name": f"frame {number * 16:04d}", "psnr": 27.0 + number / 5, "ssim": 0.91, **files})
    return views


def _cameras(folder: Path) -> None:
    """Cameras on an arc around a ball of points."""
    generator = np.random.default_rng(1)
    frames = []
    for number, angle in enumerate(np.linspace(0, 5, 44)):
        pose = np.eye(4)
        back = np.array([np.cos(angle), np.sin(angle), 0.3])
        pose[:3, 2], pose[:3, 3] = back / np.linalg.norm(back), 3 * back
        frames.append({"file_path": f"frames/frame {number:04d}.png", "transform_matrix": pose.tolist()})
    write_json(folder / "transforms.json", {"aabb_scale": 2, "frames": frames})
    points = generator.normal(size=(500, 3)) / 2
    cloud: Any = trimesh.PointCloud(points, colors=np.uint8(127 + 60 * points.clip(-2, 2)))
    cloud.export(folder / "sparse.ply")


def write_matches(database: Path, images: int = 44, reach: int = 8) -> None:
    """A COLMAP database, as far as the figure reads it: near images share more matches."""
    database.unlink(missing_ok=True)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE images (image_id INTEGER, name TEXT)")
        connection.execute("CREATE TABLE two_view_geometries (pair_id INTEGER, rows INTEGER)")
        names = [(number + 1, f"frame{number}.png") for number in range(images)]
        connection.executemany("INSERT INTO images VALUES (?, ?)", names)
        pairs = [
            ((first + 1) * PAIR_BASE + second + 1, 800 // (second - first) * (second - first <= reach))
            for second in range(images)
            for first in range(second)
        ]
        connection.executemany("INSERT INTO two_view_geometries VALUES (?, ?)", pairs)
    connection.close()
