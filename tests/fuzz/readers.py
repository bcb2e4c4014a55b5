"""The readers, each with a strategy of mutations of a valid file, and a function that reads it."""

import contextlib
import copy
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import strategies as st
from snakemake.utils import update_config
from tests.fuzz.mutations import as_json, changed_bytes, changed_text, changed_values
from tests.fuzz.valid_files import (
    CAMERA_PATH,
    COMMON,
    CONFIG,
    CPU,
    FORMATS,
    HISTORY,
    LABELS,
    MANIFEST,
    PLY,
    RECORD,
    RECORD3D,
    RESULT,
    RESULT_FILE,
    SCENE,
    archive,
    batches,
    checkpoint,
    encoded,
    features,
    field_file,
    film,
    job_record,
    write_field,
    write_images,
    write_study,
)

from triptych.config.cells import check_modules
from triptych.config.config_files import problem_of
from triptych.config.parts import choose_parts
from triptych.config.validation import validate_config
from triptych.data.cifar import read_cifar
from triptych.data.image_files import load_image, to_8_bits
from triptych.data.label_file import read_labels
from triptych.data.pickles import load_pickled_dict
from triptych.data.video import read_video
from triptych.radiance.snapshot import load_field
from triptych.report.page import provenance_by_part, run_facts
from triptych.report.results import read_history, read_result
from triptych.scenes.keyframes import read_camera_path
from triptych.scenes.known_poses import read_known_poses
from triptych.scenes.manifest import sharpness_of_files, sources_of_files
from triptych.scenes.scene import read_scene
from triptych.scenes.sparse_points import read_points
from triptych.ssl.features import load_features
from triptych.training.checkpoint import Checkpoints
from triptych.workflow.errors import TriptychError
from triptych.workflow.folder_fingerprint import files_fingerprint
from triptych.workflow.records import reconcile

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


def values(original: Any) -> st.SearchStrategy[bytes]:
    """JSON of changed values, or changed bytes of the JSON."""
    return changed_values(original).map(as_json) | changed_bytes(json.dumps(original, indent=1).encode())


def _read_result(file: Path) -> None:
    result = read_result(file)
    for number in (lambda: result.number("top1"), lambda: result.number("loss"), lambda: result.seed):
        number()
    run_facts([result], configuration=["mine.yaml"])
    provenance_by_part({"Part 1": [result]})


def _start(file: Path) -> None:
    """What Snakemake does first in the folder of a study."""
    with contextlib.chdir(file.parents[4]):
        reconcile()


def _fingerprint(file: Path) -> None:
    with contextlib.chdir(file.parents[2]):
        files_fingerprint({"a": RESULT_FILE})


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


def _read_field(file: Path) -> None:
    load_field(file.with_name("field.safetensors"), file.with_name("field.json"), device=CPU)


def _with_digest(content: bytes) -> bytes:
    """A forged checkpoint, whose checksum is right."""
    import hashlib

    return content[:-32] + hashlib.sha256(content[:-32]).digest()


def _read_checkpoint(file: Path) -> None:
    Checkpoints(file.parent, "run").load()


READERS: dict[str, Reader] = {
    "scene": Reader("transforms.json", values(SCENE), read_scene, write_images),
    "known_poses": Reader(
        "transforms_train.json", values(SCENE), lambda file: read_known_poses(file.parent), write_images
    ),
    "record3d": Reader("metadata.json", values(RECORD3D), read_known_poses, write_images),
    "camera_path": Reader(
        "path.json", values(CAMERA_PATH), lambda file: read_camera_path(file, scene="ball")
    ),
    "points": Reader("sparse.ply", changed_text(PLY), read_points),
    "manifest": Reader(
        "frames.csv", changed_text(MANIFEST), lambda file: (sharpness_of_files(file), sources_of_files(file))
    ),
    "history": Reader("history.csv", changed_text(HISTORY), read_history),
    "metrics": Reader("metrics.json", values(RESULT), _read_result),
    "record": Reader(RECORD, values(job_record()), _start, write_study),
    "input_files": Reader(
        "results/records/input_files.json", values({RESULT_FILE: [7, 1, "0" * 64]}), _fingerprint, write_study
    ),
    "config": Reader("mine.yaml", values(CONFIG) | changed_text(yaml.safe_dump(CONFIG)), _read_config),
    "field_description": Reader(
        "field.json", values(json.loads(field_file("field.json"))), _read_field, write_field
    ),
    "field_weights": Reader(
        "field.safetensors",
        changed_bytes(field_file("field.safetensors"), head=2048),
        _read_field,
        write_field,
    ),
    "features": Reader("features.safetensors", changed_bytes(features(), head=300), load_features),
    "checkpoint": Reader(
        "step-000000001.pt",
        changed_bytes(checkpoint())
        | changed_bytes(checkpoint()[:-32]).map(lambda part: _with_digest(part + bytes(32))),
        _read_checkpoint,
    ),
    "image": Reader(
        "image.png",
        st.sampled_from(FORMATS).flatmap(lambda kind: changed_bytes(encoded(kind), head=256)),
        lambda file: to_8_bits(load_image(file)),
    ),
    "film": Reader(
        "film.mp4",
        st.sampled_from([".mp4", ".mkv", ".avi", ".mov"]).flatmap(
            lambda suffix: changed_bytes(film(suffix), head=1024)
        ),
        lambda file: [picture.rgb() for picture in islice(read_video(file), 50)],
    ),
    "labels": Reader("labels.csv", changed_text(LABELS), read_labels),
    "pickle": Reader(
        "data_batch_1",
        changed_bytes(batches()["data_batch_1"], head=128),
        lambda file: load_pickled_dict(file.read_bytes(), "file"),
    ),
    "archive": Reader("cifar.tar", changed_bytes(archive(), head=2048), read_cifar),
}
