"""A valid file of each kind, or what writes it: the readers' tests mutate them."""

import contextlib
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save

from triptych.data.video import write_video
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import save_field
from triptych.scenes.keyframes import CameraPath, Keyframe, write_camera_path
from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.training.checkpoint import Checkpoints
from triptych.workflow.records import write_record

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def written(write: Callable[[Path], object], suffix: str = "") -> bytes:
    """What `write` writes."""
    with TemporaryDirectory() as folder:
        write(Path(folder, f"file{suffix}"))
        return Path(folder, f"file{suffix}").read_bytes()


POSE = [[1, 0, 0, 0], [0, 0, -1, -2], [0, 1, 0, 0.5], [0, 0, 0, 1]]

PINHOLE = {"fl_x": 30.0, "fl_y": 30.0, "cx": 16, "cy": 12, "w": 32, "h": 24}
SCENE = {
    **PINHOLE,
    "k1": 0.01,
    "p1": 0,
    "is_fisheye": False,
    "camera_model": "OPENCV",
    "aabb_scale": 4,
    "scale": 0.33,
    "offset": [0.5, 0.5, 0.5],
    "ply_file_path": "sparse.ply",
    "train_filenames": ["images/0.png", "images/1.png"],
    "test_filenames": ["images/2.png"],
    "frames": [
        {"file_path": f"images/{n}.png", "mask_path": "images/mask.png", "transform_matrix": POSE}
        for n in range(3)
    ],
}

RECORD3D = {
    "w": 32,
    "h": 24,
    "K": [30, 0, 0, 0, 30, 0, 16, 12, 1],
    "poses": [[0, 0, 0, 1, n, 0, 0] for n in range(3)],
    "perFrameIntrinsicCoeffs": [[30, 30, 16, 12]] * 3,
}

CAMERA_PATH = json.loads(
    written(
        lambda file: write_camera_path(
            file, CameraPath((Keyframe(np.array(POSE, float), 40.0),) * 2, 4.0, 12.0, 1.5), scene="ball"
        )
    )
)

PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n" + "0 1 2 255 0 0\n" * 3
)


def write_images(folder: Path) -> None:
    for place in ("images", "rgb"):
        (folder / place).mkdir()
        for name in ("0", "1", "2", "mask"):
            Image.new("L" if name == "mask" else "RGB", (32, 24), 200).save(folder / place / f"{name}.png")


MANIFEST = written(
    lambda file: write_manifest(
        file, [ManifestRow(n, f"{n}.jpg", n / 3, 0.5, source=f"film/{n}.jpg") for n in range(3)]
    )
).decode()

RESULT = {
    "top1": 0.9,
    "loss": None,
    "test_looks": 1,
    "name": "cifar10",
    "counts": {"train": 5, "test": 2},
    "provenance": {
        "seed": 0,
        "wall_seconds": 3.5,
        "finished": "2026-01-02T03:04:05+00:00",
        "hardware": {"cpu": "a CPU", "cores": 2, "memory_gib": 8.0},
        "versions": {"torch": "2"},
        "recipe": {"epochs": 3},
        "revision": "0123abc",
    },
}

RESULT_FILE = "results/cell/model.bin"

RECORD = "results/records/jobs/cell/model.bin.json"


def write_study(folder: Path) -> None:
    """A study in which one job has run."""
    with contextlib.chdir(folder):
        Path(RESULT_FILE).parent.mkdir(parents=True)
        Path(RESULT_FILE).write_bytes(b"content")
        write_record([RESULT_FILE])


def job_record() -> Any:
    with TemporaryDirectory() as folder:
        write_study(Path(folder))
        return json.loads(Path(folder, RECORD).read_text())


COMMON: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "presets/test.yaml").read_text())

SHAPE = FieldShape(levels=2, features=2, log2_table=8, finest_resolution=32)


def write_field(folder: Path) -> None:
    occupancy = OccupancyGrid(aabb_scale=1, resolution=8, device=CPU)
    field = RadianceField(Field(SHAPE), occupancy, 0.1, torch.zeros(3), 1.0, "float32")
    save_field(folder / "field.safetensors", folder / "field.json", field, holdout=8)


def field_file(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        write_field(Path(folder))
        return Path(folder, name).read_bytes()


def features() -> bytes:
    return bytes(save({"features": torch.zeros(4, 3), "labels": torch.zeros(4, dtype=torch.int64)}))


def checkpoint() -> bytes:
    with TemporaryDirectory() as folder:
        Checkpoints(folder, "run").save(1, {"weights": torch.ones(9), "rows": [{"epoch": 1.0}], "step": 1})
        return next(Path(folder).glob("*.pt")).read_bytes()


PICTURE = Image.fromarray(np.arange(3 * 24 * 32, dtype=np.uint32).astype(np.uint8).reshape(24, 32, 3))

FORMATS = (
    *("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"),
    *("TGA", "PCX", "SGI", "QOI", "JPEG2000", "HEIF", "AVIF"),
)


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    PICTURE.save(stream, kind)
    return stream.getvalue()


def film(suffix: str) -> bytes:
    pictures = (np.full((48, 64, 3), 20 * n, np.uint8) for n in range(8))
    return written(lambda file: write_video(file, pictures, fps=8, threads=1), suffix)


def batches() -> dict[str, bytes]:
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1], b"filenames": [b"a", b"b"]}
    members = {f"data_batch_{n}": pickle.dumps(batch, 2) for n in range(1, 6)}
    members |= {"test_batch": pickle.dumps(batch, 4)}
    return members | {"batches.meta": pickle.dumps({b"label_names": [b"x"] * 10}, 2)}


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in batches().items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


LABELS = "file,label,split\na.png,cat,train\nb.png,dog,test\n"

HISTORY = "epoch,train_loss,seconds\n1,2.5,3.0\n2,2.0,3.1\n"
