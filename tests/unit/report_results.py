"""A finished study in small: result files of exactly the form that the other stages write."""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import av
import numpy as np
import trimesh
from PIL import Image

from triptych.report.part2_grid import Cell, Grid
from triptych.report.results import Result
from triptych.training.history import History
from triptych.workflow.files import write_arrays, write_json
from triptych.workflow.provenance import provenance

ARCHITECTURES = {"resnet18": "ResNet18", "vit": "ViT", "mixer": "Mixer <small>"}
AUGMENTATIONS = {"baseline": "Baseline", "mixup": "Mixup", "cutout": "Cutout", "cutmix": "CutMix"}
RESNET18 = {"module": "triptych.models.resnet", "options": {"width": 64}}
SEEDS = (0, 1, 2)
EPOCHS = 20
ERRORS = {"resnet18": 27.0, "vit": 52.0, "mixer": 48.0}
GAINS = {"baseline": 0.0, "mixup": -0.6, "cutout": 0.9, "cutmix": -2.4}
OPTIONS = {"resnet18": {"width": 64}, "vit": {"patch": 4, "dim": 128, "depth": 6, "heads": 8, "mlp": 1024}}
MODELS = {
    "resnet18": {
        "title": "ResNet18",
        "total": 11_220_132,
        "lines": [
            {"part": "3x3 convolutions and classifier weights", "count": 11_038_400, "in_formula": True},
            {"part": "1x1 convolutions of the shortcuts", "count": 172_032, "in_formula": False},
            {"part": "batch normalisation", "count": 9_600, "in_formula": False},
            {"part": "classifier bias", "count": 100, "in_formula": False},
        ],
        "published_count": 11_220_132,
        "published_formula": 11_038_400,
    },
    "vit": {
        "title": "ViT (512, 6 blocks)",
        "total": 12_727_908,
        "lines": [
            {"part": "attention and MLP weights", "count": 12_582_912, "in_formula": True},
            {"part": "everything else", "count": 144_996, "in_formula": False},
        ],
        "published_count": None,
        "published_formula": 12_582_912,
    },
}

CIFAR100 = {
    "name": "cifar100",
    "classes": [f"class {number}" for number in range(100)],
    "counts": {"train": 50_000, "test": 10_000},
}


def runs(cell: str, *errors: float, seeds: Sequence[int] = (), validation: float = 0.0) -> list[Result]:
    """Results of a cell, `row-column`, by seed; errors on validation images are higher by `validation`."""
    return [
        Result(
            Path(f"results/grid/{cell}/seed{seed}/metrics.json"),
            {
                "test_top1_error": error,
                "test_top5_error": error,
                "validation_top1_error": error + validation,
                "validation_top5_error": error,
                "parameters": 1000,
                "epochs": 2,
                "training_flops": 3e15,
                "images_per_second": 10.0 * (1 + seed),
            },
            {
                "recipe": {
                    "epochs": 2,
                    "architecture": {"module": "mine", "options": {}},
                    "augmentation": {"method": cell},
                },
                "seed": seed,
                "wall_seconds": 60.0,
                "hardware": {"cpu": "another", "threads": 1} if seed == 9 else {"cpu": "a CPU", "threads": 2},
            },
        )
        for seed, error in zip(seeds or range(len(errors)), errors, strict=True)
    ]


def grid_of(
    cells: Mapping[str, Sequence[float]] | Mapping[Cell, Sequence[Result]],
    *,
    architectures: Mapping[str, str] | None = None,
    augmentations: Mapping[str, str] | None = None,
    dataset: Mapping[str, Any] = CIFAR100,
) -> Grid:
    """A grid of results by cell, or of errors by `row-column`; titles are the names unless they are given."""
    made = {
        cell if isinstance(cell, tuple) else tuple(cell.split("-")): found
        if isinstance(cell, tuple)
        else runs(cell, *found)
        for cell, found in cells.items()
    }
    rows, columns = (dict.fromkeys(names) for names in zip(*made, strict=True))
    return Grid(
        made,
        architectures or {name: name for name in rows},
        augmentations or {name: name for name in columns},
        Result(Path("results/data/dataset.json"), dict(dataset), {}),
    )


@cache
def _facts() -> dict[str, object]:
    return provenance(recipe={}, seed=None, wall_seconds=74.2, device="cpu")


def _provenance(seed: int | None, **recipe: object) -> dict[str, object]:
    return {**_facts(), "recipe": recipe, "seed": seed}


def _curve(folder: Path, rows: list[dict[str, float]], key: str = "epoch") -> None:
    history = History(folder / "tensorboard", key=key)
    for row in rows:
        history.add(row)
    history.close(folder / "history.csv")


def _classifier(
    folder: Path, error: float, *, seed: int, recipe: dict[str, object], metrics: dict[str, float]
) -> None:
    """A training whose validation error falls to `error`."""
    rows = []
    for epoch in range(1, EPOCHS + 1):
        now = error + (88 - error) * math.exp(-epoch / 4) + math.sin(7.1 * epoch + seed) * 0.7
        rows.append(
            {
                "epoch": epoch,
                "train_loss": now / 22,
                "validation_loss": now / 20 + 0.2,
                "validation_top1_error": now,
                "validation_top5_error": now / 3,
                "learning_rate": 0.1,
                "seconds": 3.7,
            }
        )
    _curve(folder, rows)
    facts = _provenance(seed, epochs=EPOCHS, learning_rate=0.1, **recipe)
    write_json(folder / "metrics.json", {**metrics, "provenance": facts})


def _data(root: Path, name: str, classes: int, train: int) -> None:
    """A hundred classes have superclasses: five neighbours each."""
    groups = range(classes // 5) if classes == 100 else []
    write_json(
        root / "data" / name / "dataset.json",
        {
            "name": name,
            "classes": [f"class {number}" for number in range(classes)],
            "superclasses": [f"things of kind {number}" for number in groups] or None,
            "superclass_of_class": [number // 5 for number in range(classes)] if groups else None,
            "counts": {"train": train, "test": train // 5},
            "source": name,
            "digest": "0" * 64,
            "provenance": _provenance(None, source=name),
        },
    )
    np.save(root / "data" / name / "test_labels.npy", np.arange(2000) % classes)


def class_results(accuracy: float, classes: int = 10) -> dict[str, Any]:
    """Results by class of a classifier that confuses each class with the next one, 1000 images of each."""
    right = round(10 * accuracy)
    confusion = right * np.eye(classes, dtype=int) + (1000 - right) * np.roll(
        np.eye(classes, dtype=int), 1, 1
    )
    return {
        "test_class_accuracies": [right / 10] * classes,
        "test_balanced_accuracy": right / 10,
        "test_confusion": confusion.tolist(),
    }


def _self_supervision(root: Path) -> None:
    for seed in SEEDS:
        rows = [
            {
                "epoch": epoch,
                "train_loss": 4.1 + 0.9 * math.exp(-epoch / 6) + 0.01 * seed,
                "learning_rate": 1e-3,
                "images_per_second": 900.0,
                "seconds": 4.4,
                **({"knn_accuracy": 70.0 - 40.0 / epoch} if epoch % 5 == 0 else {}),
            }
            for epoch in range(1, EPOCHS + 1)
        ]
        folder = root / "simclr" / f"seed{seed}"
        _curve(folder, rows)
        final = {"final_train_loss": rows[-1]["train_loss"]}
        facts = _provenance(seed, temperature=0.5, architecture=RESNET18)
        write_json(folder / "metrics.json", {**final, "provenance": facts})
        for name, accuracy in (("probe/simclr", 78.9), ("probe/random", 41.3), ("supervised", 92.8)):
            reached = accuracy + (0.3, -0.2, 0.5)[seed]
            metrics = {
                "test_top1_accuracy": reached,
                "test_top5_accuracy": 100 - (100 - reached) / 9,
                "validation_top1_accuracy": reached + 0.1,
                **class_results(reached),
            }
            folder = root / name / f"seed{seed}"
            recipe = {"protocol": "report", "architecture": RESNET18}
            _classifier(folder, 100 - reached, seed=seed, recipe=recipe, metrics=metrics)
        _evaluations(root, seed)


def _evaluations(root: Path, seed: int) -> None:
    """Further evaluations of the two encoders."""
    for name, accuracy in (
        ("knn/simclr", 74.0),
        ("knn/random", 30.1),
        ("label_fraction/simclr/percent1", 61.5),
        ("label_fraction/random/percent1", 22.2),
        ("fine_tune/percent1", 66.6),
    ):
        metrics = {"test_top1_accuracy": accuracy + (0.3, -0.2, 0.5)[seed], "provenance": _provenance(seed)}
        write_json(root / name / f"seed{seed}" / "metrics.json", metrics)
    generator = np.random.default_rng(seed)
    for encoder, spread in (("simclr", 0.6), ("random", 4.0)):
        features = {"dimensions": 512, "feature_std": 0.6, "provenance": _provenance(seed, width=64)}
        write_json(root / "features" / encoder / f"seed{seed}" / "metrics.json", features)
        lines = ["image,class,x,y"]
        for image in range(200):
            turn = 2 * math.pi * (image % 10) / 10
            x, y = 5 * math.cos(turn), 5 * math.sin(turn)
            x, y = (x, y) + spread * generator.normal(size=2)
            lines.append(f"{image},class {image % 10},{x:.4f},{y:.4f}")
        folder = root / "feature_map" / encoder / f"seed{seed}"
        write_json(folder / "metrics.json", {"points": 200, "provenance": _provenance(seed, points=200)})
        (folder / "map.csv").write_text("\n".join(lines) + "\n")


def _predictions(error: float, classes: int, seed: int) -> np.ndarray:
    """Classes of the 2000 test images, so many percent wrong; half of those by one or two classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(2000) % classes
    near = labels + generator.choice([-2, -1, 1, 2], 2000)
    wrong = np.where(generator.random(2000) < 0.5, near, generator.integers(0, classes, 2000)) % classes
    return np.where(generator.random(2000) < error / 100, wrong, labels).astype(np.uint8)


def _grid(root: Path, classes: int) -> None:
    for architecture in ARCHITECTURES:
        for augmentation in AUGMENTATIONS:
            for seed in SEEDS:
                # The same luck for all cells, on other seeds: means and deviations agree, pairs differ.
                luck = list(permutations((0.31, -0.12, 0.05)))[list(AUGMENTATIONS).index(augmentation)][seed]
                error = ERRORS[architecture] + GAINS[augmentation] + luck
                metrics = {
                    "test_top1_error": error,
                    "test_top5_error": error / 3.3,
                    "validation_top1_error": error + 1,
                    "validation_top5_error": error / 3,
                    "best_epoch": EPOCHS - 1,
                    "epochs": EPOCHS,
                    "parameters": 11_220_132,
                    "training_flops": 1.5e15 * EPOCHS,
                    "images_per_second": 170.0,
                }
                folder = root / "grid" / f"{architecture}-{augmentation}" / f"seed{seed}"
                method = "none" if augmentation == "baseline" else augmentation
                recipe = {
                    "architecture": {"module": architecture, "options": OPTIONS.get(architecture, {})},
                    "base_augmentation": {"padding": 4, "flip": 0.5, "degrees": 15},
                    "augmentation": {"method": method, "alpha": 0.4, "probability": 1.0},
                    "schedule": "cosine",
                }
                _classifier(folder, error, seed=seed, recipe=recipe, metrics=metrics)
                np.save(folder / "predictions.npy", _predictions(error, classes, seed))
    write_json(root / "grid" / "parameters.json", {"models": MODELS, "provenance": _provenance(None)})
    write_arrays(root / "grid" / "augmentations.npz", examples(len(AUGMENTATIONS), classes))
    write_arrays(root / "grid" / "attention" / "vit.npz", rollouts(len(AUGMENTATIONS), classes))


def pictures(count: int = 8) -> np.ndarray:
    """(count, 32, 32, 3) uint8 views of the ball."""
    views = [picture(0.7 * number, width=32, height=32)[0] for number in range(count)]
    return np.uint8(255 * np.stack(views))


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
    """A chequered ball on a chequered floor: colours (height, width, 3) in 0..1, depth (height, width)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = (x - width / 2) / height, (y - height / 2) / height
    ray = np.stack([u, v, np.ones_like(u)], axis=-1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    centre, radius, floor = np.array([0.0, 0.1, 2.6]), 0.8, 0.9
    along = ray @ centre
    gap = along**2 - (centre @ centre - radius**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.where(ray[..., 1] > 1e-3, floor / ray[..., 1], np.inf)
        ball = np.where(gap > 0, along - np.sqrt(np.maximum(gap, 0)), np.inf)
    depth = np.minimum(np.minimum(ball, down), 12.0)
    point = ray * depth[..., None]
    normal = (point - centre) / radius
    longitude = np.arctan2(normal[..., 0], -normal[..., 2]) + angle
    squares = (np.floor(longitude * 5 / np.pi) + np.floor(np.arcsin(np.clip(normal[..., 1], -1, 1)) * 5)) % 2
    shade = np.clip(0.35 + 0.65 * (normal @ np.array([-0.5, -0.7, -0.5])), 0.15, 1)[..., None]
    on_ball = np.where(squares[..., None] > 0, [0.93, 0.55, 0.2], [0.13, 0.35, 0.55]) * shade
    turned_x = point[..., 0] * np.cos(angle) - (point[..., 2] - 2.6) * np.sin(angle)
    turned_z = point[..., 0] * np.sin(angle) + (point[..., 2] - 2.6) * np.cos(angle)
    tiles = (np.floor(turned_x * 2) + np.floor(turned_z * 2)) % 2
    on_floor = np.where(tiles[..., None] > 0, [0.82, 0.8, 0.75], [0.5, 0.5, 0.52])
    sky = np.where((v < 0)[..., None], [0.7, 0.8, 0.9], [0.75, 0.82, 0.9])
    return np.where(
        (ball < down)[..., None], on_ball, np.where((depth < 12)[..., None], on_floor, sky)
    ), depth


def _film(path: Path, frames: int = 36) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(frames):
            colours, _ = picture(2 * math.pi * index / frames)
            frame = av.VideoFrame.from_ndarray(np.uint8(255 * colours), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _scene(root: Path) -> None:
    folder = root / "scenes" / "orbit"
    (folder / "views").mkdir(parents=True)
    generator = np.random.default_rng(0)
    lines = ["frame,file,time,sharpness,kept,why"]
    for frame in range(48):
        sharpness = 140 + 30 * math.sin(frame / 5) + generator.normal(0, 8) - (90 if frame % 11 == 7 else 0)
        kept = sharpness > 70
        why = "kept" if kept else "blurry: 20 of 35"
        lines.append(f"{frame},{frame:04d}.png,{frame / 2},{sharpness:.2f},{kept},{why}")
        (folder / "thumbnails").mkdir(exist_ok=True)
        Image.new("RGB", (160, 120), (5 * frame % 256, 90, 120)).save(folder / f"thumbnails/{frame:06d}.jpg")
    (folder / "frames.csv").write_text("\n".join(lines) + "\n")
    sfm = {
        "images": 44,
        "registered": 44,
        "points": 12_345,
        "observations": 98_765,
        "mean_reprojection_error": 0.61,
        "mean_track_length": 8.0,
        "camera": {"model": "OPENCV", "params": [300.0, 300.0, 160.0, 120.0, 0.0, 0.0, 0.0, 0.0]},
        "matcher": "exhaustive",
        "verified_pairs": 946,
        "attempts": [{"attempt": "as configured", "registered": 44, "chosen": True}],
        "advice": None,
    }
    write_json(folder / "sfm.json", {**sfm, "provenance": _provenance(0, matcher="exhaustive")})
    error = {
        "median_rotation_degrees": 0.021,
        "max_rotation_degrees": 0.08,
        "median_position_percent": 0.034,
        "max_position_percent": 0.11,
        "images": 44,
    }
    write_json(folder / "pose_error.json", {**error, "provenance": _provenance(None)})
    rows = []
    for step in range(0, 1001, 20):
        psnr = 28 - 14 * math.exp(-step / 200)
        row = {"step": step, "seconds": step * 0.35, "train_loss": 10 ** (-psnr / 10), "train_psnr": psnr}
        rows.append(row | ({"heldout_psnr": psnr - 0.8} if step % 200 == 0 else {}))
    _curve(folder / "radiance", rows, key="step")
    metrics = {"backend": "triptych", "training_seconds": 350.0, "steps": 1000}
    write_json(
        folder / "radiance" / "metrics.json", {**metrics, "provenance": _provenance(0, steps=1000, levels=12)}
    )
    views = []
    for number, angle in enumerate((0.1, 1.3, 2.9)):
        colours, depth = picture(angle)
        blurred = colours.copy()
        blurred[1:-1, 1:-1] = (colours[:-2, 1:-1] + colours[2:, 1:-1] + colours[1:-1, :-2]) / 3
        kinds = ("truth", "render", "error", "depth", "normal")
        files = {kind: f"views/{number:03d}_{kind}.png" for kind in kinds}
        Image.fromarray(np.uint8(255 * colours)).save(folder / files["truth"])
        Image.fromarray(np.uint8(255 * blurred)).save(folder / files["render"])
        Image.fromarray(np.uint8(255 * np.abs(colours - blurred))).save(folder / files["error"])
        Image.fromarray(np.uint16(5000 * depth)).save(folder / files["depth"])
        slopes = np.stack([*np.gradient(depth), np.full_like(depth, 0.05)], axis=-1)
        normals = slopes / np.linalg.norm(slopes, axis=-1, keepdims=True)
        Image.fromarray(np.uint8(127.5 * (normals + 1))).save(folder / files["normal"])
        views.append({"name": f"frame {number * 16:04d}", "psnr": 27.0 + number / 5, "ssim": 0.91, **files})
    shown = {"psnr": 27.2, "ssim": 0.91, "views": views, "provenance": _provenance(None)}
    write_json(folder / "views.json", shown)
    _film(folder / "flythrough.mp4")
    _cameras(folder)
    write_matches(folder / "database.db")


def _cameras(folder: Path) -> None:
    """Cameras on an arc around a ball of points."""
    generator = np.random.default_rng(1)
    frames = []
    for number, angle in enumerate(np.linspace(0, 5, 44)):
        pose = np.eye(4)
        back = np.array([math.cos(angle), math.sin(angle), 0.3])
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
            (
                (first + 1) * (2**31 - 1) + second + 1,
                800 // (second - first) if second - first <= reach else 0,
            )
            for second in range(images)
            for first in range(second)
        ]
        connection.executemany("INSERT INTO two_view_geometries VALUES (?, ?)", pairs)
    connection.close()


def fabricate(root: Path, *, published_data: bool = True) -> Path:
    """Write a whole study under `root`/results; `published_data=False` runs it on `shapes` alone."""
    results = root / "results"
    if published_data:
        _data(results, "cifar10", 10, 50_000)
        _data(results, "cifar100", 100, 50_000)
    else:
        _data(results, "shapes", 10, 4_000)
    _self_supervision(results)
    _grid(results, 100 if published_data else 10)
    _scene(results)
    return results
