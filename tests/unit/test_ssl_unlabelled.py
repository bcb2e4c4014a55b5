"""Images without labels: pretraining, features by file name, nearest images and their figures."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from colour_experiments import NETWORK, SIMCLR, experiment, metrics

from triptych.data.packed import LabelledImages, load_packed, save_packed
from triptych.report.figures import report_style
from triptych.report.part1_unlabelled import image_map_figure, nearest_images_figure
from triptych.ssl.feature_map import map_features
from triptych.ssl.features import compute_features
from triptych.ssl.nearest_images import NEIGHBOURS, QUERIES, find_nearest_images
from triptych.ssl.simclr import pretrain

ON_CPU = {"device": "cpu", "precision": "float32"}
COUNT = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything: images number i, of colour i % 3, are file `IMG_i.jpg`."""
    folder = tmp_path_factory.mktemp("unlabelled")
    colours = np.arange(COUNT) % 3
    images = np.random.default_rng(0).integers(0, 60, (COUNT, 16, 16, 3), dtype=np.uint8)
    images[np.arange(COUNT), :, :, colours] += 150
    none = np.full(COUNT, -1, dtype=np.int64)
    arrays = LabelledImages(images, none, images[:0], none[:0], classes=(), source={})
    save_packed(folder / "data", arrays, name="mine", provenance={})
    with (folder / "files.csv").open("w") as stream:
        csv.writer(stream).writerows(
            [["file", "split", "label"], *([f"IMG_{n}.jpg", "train", ""] for n in range(COUNT))]
        )
    pretrain(experiment(folder, folder / "data", SIMCLR))
    recipe = {"architecture": NETWORK, **ON_CPU}
    compute_features(
        experiment(folder / "features", folder / "data", recipe), str(folder / "encoder.safetensors")
    )
    features = {f"{part}_file": str(folder / f"features/{part}.safetensors") for part in ("train", "test")}
    nearest = experiment(folder / "nearest", folder / "data", ON_CPU)
    find_nearest_images(nearest, **features, names_file=str(folder / "files.csv"))
    maps = experiment(folder / "map", folder / "data", {"points": 30, "perplexity": 5, **ON_CPU})
    map_features(maps, features_file=features["train_file"])
    return folder


def test_pretraining_measures_no_accuracy(run: Path) -> None:
    assert metrics(run)["feature_std"] > 0 and "knn_accuracy" not in metrics(run)
    assert "knn_accuracy" not in pd.read_csv(run / "history.csv")


def test_features_come_with_the_names_of_their_files(run: Path) -> None:
    features, files = np.load(run / "nearest/features.npy"), pd.read_csv(run / "nearest/files.csv")
    assert features.shape == (COUNT, 64) and features.dtype == np.float32
    assert files["file"].tolist() == [f"IMG_{number}.jpg" for number in range(COUNT)]


def test_the_nearest_images_are_those_of_the_same_colour(run: Path) -> None:
    found = pd.read_csv(run / "nearest/neighbours.csv")
    assert len(found) == QUERIES * NEIGHBOURS and metrics(run / "nearest")["images"] == COUNT
    assert (found["query"] != found["image"]).all()
    assert (found["query"] % 3 == found["image"] % 3).mean() > 0.9
    assert (found["query_file"] == "IMG_" + found["query"].astype(str) + ".jpg").all()
    assert all((-group["similarity"]).is_monotonic_increasing for _, group in found.groupby("query"))


def test_figures_show_the_images(run: Path) -> None:
    images = load_packed(run / "data").train_images
    found, points = pd.read_csv(run / "nearest/neighbours.csv"), pd.read_csv(run / "map/map.csv")
    assert points["class"].isna().all() and len(points) == 30
    with report_style():
        rows = nearest_images_figure(found, images)
        canvas = image_map_figure(points, images)
    assert len(rows.axes[0].get_images()) == QUERIES * (1 + NEIGHBOURS)
    shown = canvas.axes[0].get_images()[0].get_array()[..., 3]
    assert 0 < (shown > 0).mean() < 0.1
