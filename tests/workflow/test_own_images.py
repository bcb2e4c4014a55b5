"""Folders of images in the real DAG: what a change of the folder reruns, no labels, and a second study."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Study, copy_project
from data_archives import member_bytes, random_batches, write_tar
from PIL import Image

pytestmark = pytest.mark.slow

TARGET = "results/simclr/seed0/metrics.json"
PACKING = "Packing mine from a folder of images"
CHECKING = "Checking that all parts fit the images of mine"
PRETRAINING = "SimCLR: pretraining without labels, seed 0"


def draw(root: Path, *names: str) -> None:
    random = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(root / name)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A checkout with a folder `images` beside it, in which SimCLR was pretrained on it."""
    folder = tmp_path_factory.mktemp("mine")
    copy_project(folder / "project")
    draw(folder / "images", *(f"train/{name}/{number}.png" for name in "ab" for number in range(20)))
    study = Study(folder / "project")
    study.configure(
        parts=["self_supervision"],
        datasets={"mine": {"source": "folder", "path": str(folder / "images"), "image_size": 8}},
        self_supervision={
            "dataset": "mine",
            "simclr": {"width": 8, "epochs": 1, "batch_size": 16},
            "knn": {"k": 5},
            "feature_map": {"points": 20, "perplexity": 5},
            **{name: {"validation": 8, "batch_size": 16} for name in ("probe", "supervised", "fine_tune")},
        },
    )
    study.run(TARGET)
    return study


@pytest.fixture
def images(mine: Study) -> Iterator[Path]:
    """The folder of images; a test's changes are undone."""
    folder = mine.folder.parent / "images"
    shutil.copytree(folder, folder.with_name("kept"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("kept").rename(folder)


def test_what_is_no_image_reruns_nothing(mine: Study, images: Path) -> None:
    (images / "README.txt").write_text("about the images")
    (images / "train/a/notes.txt").write_text("x")
    (images / "train/a/.DS_Store").write_text("x")
    for file in images.rglob("*.png"):
        os.utime(file)
    assert mine.plan(TARGET) == set()


def test_a_folder_that_is_copied_or_moved_reruns_nothing(mine: Study, images: Path) -> None:
    kept = mine.preset.read_bytes()
    shutil.copytree(images, images.with_name("elsewhere"))
    mine.configure(datasets={"mine": {"path": str(images.with_name("elsewhere"))}})
    assert mine.plan(TARGET) == set()
    mine.preset.write_bytes(kept)


def test_a_finished_study_needs_the_folder_no_more(mine: Study, images: Path) -> None:
    shutil.rmtree(images)
    done = mine.snakemake(TARGET)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr
    assert f"{images} is gone; the packed images are used" in done.stderr


def test_images_that_are_packed_to_the_same_arrays_retrain_nothing(mine: Study, images: Path) -> None:
    image = images / "train/a/1.png"
    pixels = Image.open(image)
    pixels.load()
    pixels.save(image, compress_level=0)
    assert mine.plan(TARGET) >= {PACKING}
    output = mine.run(TARGET)
    assert PACKING in output and PRETRAINING not in output
    assert mine.plan(TARGET) == set()


def test_an_edited_image_retrains(mine: Study, images: Path) -> None:
    Image.new("RGB", (12, 12)).save(images / "train/a/1.png")
    assert mine.plan(TARGET) >= {PACKING, PRETRAINING}


def test_all_sizes_are_checked_before_any_target_and_failed_checks_retrain_nothing(mine: Study) -> None:
    checked = mine.folder / "results/data/mine/checked.json"
    assert checked.exists(), "although the target was a training"
    kept = mine.preset.read_bytes()
    mine.configure(self_supervision={"fine_tune": {"percents": [50], "validation": 999}})
    failed = mine.snakemake("results/data/mine/checked.json")
    assert failed.returncode != 0 and not checked.exists()
    assert "self_supervision.fine_tune.validation is 999" in failed.stdout + failed.stderr
    mine.preset.write_bytes(kept)
    output = mine.run(TARGET)
    assert CHECKING in output and PRETRAINING not in output


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"self_supervision": {"simclr": {"batch_size": 128, "accumulate": 32}}},
            "self_supervision.simclr: there are 32 images to train on, but accumulate: 32",
        ),
        ({"architectures": {"resnet18": {"options": {"depth": 8}}}}, "config: architectures.resnet18: "),
    ],
)
def test_a_mistake_after_passed_checks_loses_no_result(
    mine: Study, changes: dict[str, dict[str, Any]], problem: str
) -> None:
    kept, result = mine.preset.read_bytes(), (mine.folder / TARGET).read_bytes()
    mine.configure(**changes)
    assert PRETRAINING in mine.plan(TARGET)
    failed = mine.snakemake(TARGET)
    assert failed.returncode == 1 and problem in failed.stderr
    assert (mine.folder / TARGET).read_bytes() == result
    mine.preset.write_bytes(kept)
    assert mine.plan(TARGET) == set()


def test_a_lost_class_stops_everything_beforehand(mine: Study, images: Path) -> None:
    for file in (images / "train/b").iterdir():
        file.unlink()
    done = mine.snakemake(TARGET)
    assert done.returncode == 1
    assert f"\ntriptych: config: datasets.mine: {images}/train/b has no images" in done.stderr
    assert "Error" not in done.stdout + done.stderr  # of Snakemake


def test_a_second_study_neither_downloads_nor_packs_again(mine: Study) -> None:
    archive = write_tar(mine.folder.parent / "small.tar.gz", member_bytes(random_batches()))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    file = f"cifar-10-python-{digest[:12]}.tar.gz"
    shared = mine.folder / "cache/downloads" / file
    shared.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(archive, shared)
    mine.configure(
        datasets={
            "small": {"source": "cifar10", "sha256": digest, "mirrors": ["http://127.0.0.1:9/nothing"]}
        },
        grid={"dataset": "small"},
        parts=["self_supervision", "grid"],
    )
    targets = ["results/data/mine/dataset.json", "results/data/small/dataset.json"]
    mine.run(*targets)
    mine.run(*targets, "--directory", "studies/second")
    logs = (mine.folder / "studies/second/results/logs").rglob("*.log")
    assert sum(log.read_text().count("is taken from") for log in logs) == 3
    first, second = (
        np.load(folder / "results/data/small/train_images.npy")
        for folder in (mine.folder, mine.folder / "studies/second")
    )
    assert np.array_equal(first, second)


def test_images_without_labels_get_an_encoder_features_and_neighbours(mine: Study) -> None:
    folder = mine.folder.parent / "photos"
    draw(folder, *(f"{place}/{number}.jpg" for place in ("2023", "2024") for number in range(20)))
    mine.configure(
        parts=["self_supervision", "grid"],
        datasets={"photos": {"source": "folder", "path": str(folder), "labels": "none"}},
        self_supervision={"dataset": "photos"},
        grid={"dataset": "photos"},
    )
    directory = ["--directory", "studies/photos"]
    output = mine.run(*directory)
    assert "the images of photos have no labels: part grid is left out" in output
    assert "datasets.photos: image_size is 32 pixels, chosen by the size of the images" in output
    results = mine.folder / "studies/photos/results"
    features = np.load(results / "nearest_images/simclr/seed0/features.npy")
    files = pd.read_csv(results / "nearest_images/simclr/seed0/files.csv")
    assert features.shape == (40, 64) and features.dtype == np.float32
    assert files["file"].tolist()[:2] == ["2023/0.jpg", "2023/1.jpg"] and len(files) == 40
    assert (results / "simclr/seed0/encoder.safetensors").exists()
    page = (results / "report/index.html").read_text()
    assert "The images have no labels. Left out is what needs them" in page
    assert "top-1" not in page.split("Where every number comes from")[0]
    assert mine.plan(*directory) == set()
