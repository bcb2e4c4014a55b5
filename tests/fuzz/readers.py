"""The readers, each with a valid file, a strategy of mutations, and a function that reads it."""

import contextlib
import copy
import io
import json
import pickle
import shutil
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from hypothesis import strategies as st
from PIL import Image
from snakemake.utils import update_config
from tests.fuzz.mutations import as_json, changed_bytes, changed_text, changed_values

from triptych.config.cells import check_modules
from triptych.config.config_files import problem_of
from triptych.config.parts import choose_parts
from triptych.config.validation import validate_config
from triptych.data.cifar import read_cifar
from triptych.data.image_files import load_image, to_8_bits
from triptych.data.label_file import read_labels
from triptych.data.pickles import load_pickled_dict
from triptych.data.video import read_video, write_video
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import load_field, save_field
from triptych.report.page import provenance_by_part, run_facts
from triptych.report.results import read_history, read_result
from triptych.scenes.keyframes import CameraPath, Keyframe, read_camera_path, write_camera_path
from triptych.scenes.known_poses import read_known_poses
from triptych.scenes.manifest import ManifestRow, sharpness_of_files, sources_of_files, write_manifest
from triptych.scenes.scene import read_scene
from triptych.scenes.sparse_points import read_points
from triptych.ssl.features import load_features
from triptych.training.checkpoint import Checkpoints
from triptych.workflow.errors import TriptychError
from triptych.workflow.folder_fingerprint import files_fingerprint
from triptych.workflow.records import reconcile, write_record

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
SECONDS = 10.0  # of computing time, for any answer
LONGEST_MESSAGE = 2000


@dataclass(frozen=True)
class Reader:
    """A reader of one kind of file.

    Attributes:
        file: name of the file that is mutated.
        contents: strategy of its contents.
        read: reads the file at a path.
        beside: writes the valid files that stand beside it into a folder.
    """

    file: str
    contents: st.SearchStrategy[bytes]
    read: Callable[[Path], object]
    beside: Callable[[Path], object] = lambda folder: None


def check(reader: Reader, content: bytes) -> None:
    """Read a mutated file: it is read, or refused in one line, in bounded time."""
    with TemporaryDirectory() as temporary:
        shutil.copytree(_beside(reader), temporary, dirs_exist_ok=True)
        file = Path(temporary, reader.file)
        file.write_bytes(content)
        began = time.process_time()
        try:
            reader.read(file)
        except TriptychError as error:
            message = str(error)
            message.encode()  # valid Unicode
            lines = message.splitlines()
            assert len(lines) == 1 or all(line.startswith("config: ") for line in lines), message
            assert all(0 < len(line) <= LONGEST_MESSAGE for line in lines), message
        assert time.process_time() - began < SECONDS


@cache
def _beside(reader: Reader) -> str:
    folder = TemporaryDirectory()
    KEPT.append(folder)
    reader.beside(Path(folder.name))
    return folder.name


KEPT: list[TemporaryDirectory[str]] = []


def written(write: Callable[[Path], object], suffix: str = "") -> bytes:
    """What `write` writes."""
    with TemporaryDirectory() as folder:
        write(Path(folder, f"file{suffix}"))
        return Path(folder, f"file{suffix}").read_bytes()


def values(original: Any) -> st.SearchStrategy[bytes]:
    """JSON of changed values, or changed bytes of the JSON."""
    return changed_values(original).map(as_json) | changed_bytes(json.dumps(original, indent=1).encode())


# scenes

POSE = [[1, 0, 0, 0], [0, 0, -1, -2], [0, 1, 0, 0.5], [0, 0, 0, 1]]
LENS = {
    "fl_x": 30.0,
    "fl_y": 30.0,
    "cx": 16,
    "cy": 12,
    "w": 32,
    "h": 24,
    "k1": 0.01,
    "p1": 0,
    "is_fisheye": False,
}
SCENE = {
    **LENS,
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


def _images(folder: Path) -> None:
    for place in ("images", "rgb"):
        (folder / place).mkdir()
        for name in ("0", "1", "2", "mask"):
            Image.new("L" if name == "mask" else "RGB", (32, 24), 200).save(folder / place / f"{name}.png")


# results

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


def _read_result(file: Path) -> None:
    result = read_result(file)
    for number in (lambda: result.number("top1"), lambda: result.number("loss"), lambda: result.seed):
        number()
    run_facts([result], configuration=["mine.yaml"])
    provenance_by_part({"Part 1": [result]})


RESULT_FILE = "results/cell/model.bin"
RECORD = "results/records/jobs/cell/model.bin.json"


def _write_study(folder: Path) -> None:
    """A study in which one job has run."""
    with contextlib.chdir(folder):
        Path(RESULT_FILE).parent.mkdir(parents=True)
        Path(RESULT_FILE).write_bytes(b"content")
        write_record([RESULT_FILE])


def _record() -> Any:
    with TemporaryDirectory() as folder:
        _write_study(Path(folder))
        return json.loads(Path(folder, RECORD).read_text())


def _start(file: Path) -> None:
    """What Snakemake does first in the folder of a study."""
    with contextlib.chdir(file.parents[4]):
        reconcile()


def _fingerprint(file: Path) -> None:
    with contextlib.chdir(file.parents[2]):
        files_fingerprint({"a": RESULT_FILE})


# config

COMMON: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "presets/test.yaml").read_text())
CONFIG |= {
    "architectures": {"mine": {"module": "triptych.models.vit", "title": "Mine", "options": {"depth": 2}}},
    "datasets": {
        "mine": {"source": "folder", "path": "/data/mine", "image_size": 32},
        "other": {"source": "cifar10", "mirrors": ["https://example.org/a"], "sha256": "0" * 64},
    },
    "scenes": {"desk": {"source": "video", "path": "/data/desk.mp4", "flythrough": {"path": "a.json"}}},
}


def _read_config(file: Path) -> None:
    if problem := problem_of(file):
        raise TriptychError(problem)
    config = copy.deepcopy(COMMON)
    text = file.read_text(encoding="utf-8-sig")
    try:
        given = json.loads(text)
    except ValueError:
        given = yaml.safe_load(text)
    update_config(config, given)
    validate_config(config)
    check_modules(config)
    choose_parts(config)


# tensors

SHAPE = FieldShape(levels=2, features=2, log2_table=8, finest_resolution=32)


def _write_field(folder: Path) -> None:
    occupancy = OccupancyGrid(aabb_scale=1, resolution=8, device=CPU)
    field = RadianceField(Field(SHAPE), occupancy, 0.1, torch.zeros(3), 1.0, "float32")
    save_field(folder / "field.safetensors", folder / "field.json", field, holdout=8)


def _read_field(file: Path) -> None:
    load_field(file.with_name("field.safetensors"), file.with_name("field.json"), device=CPU)


def _field_file(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        _write_field(Path(folder))
        return Path(folder, name).read_bytes()


def _features() -> bytes:
    from safetensors.torch import save

    return bytes(save({"features": torch.zeros(4, 3), "labels": torch.zeros(4, dtype=torch.int64)}))


def _checkpoint() -> bytes:
    with TemporaryDirectory() as folder:
        Checkpoints(folder, "run").save(1, {"weights": torch.ones(9), "rows": [{"epoch": 1.0}], "step": 1})
        return next(Path(folder).glob("*.pt")).read_bytes()


def _with_digest(content: bytes) -> bytes:
    """A forged checkpoint, whose checksum is right."""
    import hashlib

    return content[:-32] + hashlib.sha256(content[:-32]).digest()


def _read_checkpoint(file: Path) -> None:
    Checkpoints(file.parent, "run").load()


# images, films, archives

PICTURE = Image.fromarray(np.arange(3 * 24 * 32, dtype=np.uint32).astype(np.uint8).reshape(24, 32, 3))
FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    "TIFF",
    "WEBP",
    "PPM",
    "TGA",
    "PCX",
    "SGI",
    "QOI",
    "JPEG2000",
    "HEIF",
    "AVIF",
)


def _encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    PICTURE.save(stream, kind)
    return stream.getvalue()


def _film(suffix: str) -> bytes:
    pictures = (np.full((48, 64, 3), 20 * n, np.uint8) for n in range(8))
    return written(lambda file: write_video(file, pictures, fps=8, threads=1), suffix)


def _batches() -> dict[str, bytes]:
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1], b"filenames": [b"a", b"b"]}
    members = {f"data_batch_{n}": pickle.dumps(batch, 2) for n in range(1, 6)}
    members |= {"test_batch": pickle.dumps(batch, 4)}
    return members | {"batches.meta": pickle.dumps({b"label_names": [b"x"] * 10}, 2)}


def _archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in _batches().items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


LABELS = "file,label,split\na.png,cat,train\nb.png,dog,test\n"
HISTORY = "epoch,train_loss,seconds\n1,2.5,3.0\n2,2.0,3.1\n"

READERS: dict[str, Reader] = {
    "scene": Reader("transforms.json", values(SCENE), read_scene, _images),
    "known_poses": Reader(
        "transforms_train.json", values(SCENE), lambda file: read_known_poses(file.parent), _images
    ),
    "record3d": Reader("metadata.json", values(RECORD3D), read_known_poses, _images),
    "camera_path": Reader(
        "path.json", values(CAMERA_PATH), lambda file: read_camera_path(file, scene="ball")
    ),
    "points": Reader("sparse.ply", changed_text(PLY), read_points),
    "manifest": Reader(
        "frames.csv", changed_text(MANIFEST), lambda file: (sharpness_of_files(file), sources_of_files(file))
    ),
    "history": Reader("history.csv", changed_text(HISTORY), read_history),
    "metrics": Reader("metrics.json", values(RESULT), _read_result),
    "record": Reader(RECORD, values(_record()), _start, _write_study),
    "input_files": Reader(
        "results/records/input_files.json",
        values({RESULT_FILE: [7, 1, "0" * 64]}),
        _fingerprint,
        _write_study,
    ),
    "config": Reader("mine.yaml", values(CONFIG) | changed_text(yaml.safe_dump(CONFIG)), _read_config),
    "field_description": Reader(
        "field.json", values(json.loads(_field_file("field.json"))), _read_field, _write_field
    ),
    "field_weights": Reader(
        "field.safetensors",
        changed_bytes(_field_file("field.safetensors"), head=2048),
        _read_field,
        _write_field,
    ),
    "features": Reader("features.safetensors", changed_bytes(_features(), head=300), load_features),
    "checkpoint": Reader(
        "step-000000001.pt",
        changed_bytes(_checkpoint())
        | changed_bytes(_checkpoint()[:-32]).map(lambda part: _with_digest(part + bytes(32))),
        _read_checkpoint,
    ),
    "image": Reader(
        "image.png",
        st.sampled_from(FORMATS).flatmap(lambda kind: changed_bytes(_encoded(kind), head=256)),
        lambda file: to_8_bits(load_image(file)),
    ),
    "film": Reader(
        "film.mp4",
        st.sampled_from([".mp4", ".mkv", ".avi", ".mov"]).flatmap(
            lambda suffix: changed_bytes(_film(suffix), head=1024)
        ),
        lambda file: [picture.rgb() for picture in islice(read_video(file), 50)],
    ),
    "labels": Reader("labels.csv", changed_text(LABELS), read_labels),
    "pickle": Reader(
        "data_batch_1",
        changed_bytes(_batches()["data_batch_1"], head=128),
        lambda file: load_pickled_dict(file.read_bytes(), "file"),
    ),
    "archive": Reader("cifar.tar", changed_bytes(_archive(), head=2048), read_cifar),
}
