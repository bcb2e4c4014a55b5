"""Evaluations of an encoder, run for real on a few pictures."""

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_experiments import CLASSIFIER, NETWORK, PROBE, SIMCLR, TRAINING, experiment, metrics, save_colours
from full_disk import full_disk
from safetensors.torch import load_file

from triptych.data.packed import load_packed
from triptych.experiments.experiment import save_weights
from triptych.models.resnet import ResNet18
from triptych.ssl.feature_map import map_features
from triptych.ssl.features import LabelledFeatures, compute_features, load_features, save_features
from triptych.ssl.fine_tune import fine_tune
from triptych.ssl.knn_evaluation import evaluate_knn
from triptych.ssl.label_fraction import labelled_images
from triptych.ssl.linear_probe import probe, probe_label_fraction
from triptych.ssl.random_encoder import initialise
from triptych.ssl.sgd_probe import FrozenEncoderClassifier, sgd_probe
from triptych.ssl.simclr import pretrain
from triptych.workflow.errors import TriptychError

CPU = {"device": "cpu", "precision": "float32"}
GRID = {"min": 0.001, "max": 1.0, "count": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    initialise(experiment(folder, data, {"architecture": NETWORK, **CPU}))
    return folder / "encoder.safetensors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, data: Path, encoder: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("features")
    compute_features(experiment(folder, data, {"architecture": NETWORK, **CPU}), str(encoder))
    return {f"{part}_file": str(folder / f"{part}.safetensors") for part in ("train", "test")}


def test_a_full_disk_is_known_as_one_where_weights_and_features_are_saved(tmp_path: Path) -> None:
    examples = LabelledFeatures(torch.ones(1000, 8), torch.zeros(1000, dtype=torch.int64))
    for save in (
        lambda: save_weights(ResNet18(width=8), tmp_path / "a"),
        lambda: save_features(examples, tmp_path / "b"),
    ):
        with pytest.raises(OSError) as caught, full_disk():
            save()
        assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_features_are_the_encoders_in_eval_mode_in_the_order_of_the_images(
    data: Path, encoder: Path, files: dict[str, str]
) -> None:
    dataset = load_packed(data)
    model = ResNet18(width=8).eval()
    model.load_state_dict(load_file(encoder))
    pixels = (dataset.test_images / 255 - np.array(dataset.mean)) / np.array(dataset.std)
    with torch.no_grad():
        expected = model(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
    found = load_features(files["test_file"])
    torch.testing.assert_close(found.features, expected, rtol=1e-3, atol=1e-4)
    assert found.features.dtype == torch.float32
    assert found.labels.tolist() == dataset.test_labels.tolist()
    record = json.loads(Path(files["test_file"]).with_name("metrics.json").read_text())
    assert (record["train_images"], record["test_images"], record["dimensions"]) == (120, 30, 64)
    assert record["provenance"]["recipe"]["architecture"] == NETWORK


def test_damaged_features_are_one_clear_line(tmp_path: Path, files: dict[str, str]) -> None:
    damaged = tmp_path / "train.safetensors"
    damaged.write_bytes(Path(files["train_file"]).read_bytes()[:200])
    with pytest.raises(TriptychError, match=r"train\.safetensors: cannot be read as features .* run again"):
        load_features(damaged)


def test_the_probe_chooses_on_validation_and_keeps_its_path(
    tmp_path: Path, data: Path, files: dict[str, str]
) -> None:
    probe(experiment(tmp_path, data, {"validation": 30, "weight_decays": GRID, **CPU}), **files)
    found = metrics(tmp_path)
    assert found["test_top1_accuracy"] > 80 and found["test_top5_accuracy"] == 100
    path = found["path"]
    assert [trial["weight_decay"] for trial in path] == pytest.approx([1.0, 0.1, 0.01, 0.001])
    best = max(trial["validation_top1_accuracy"] for trial in path)
    assert found["validation_top1_accuracy"] == best
    assert found["weight_decay"] in [t["weight_decay"] for t in path if t["validation_top1_accuracy"] == best]
    losses = [trial["train_loss"] for trial in path]
    assert losses == sorted(losses, reverse=True)  # a weaker penalty fits the training images better
    layer = load_file(tmp_path / "classifier.safetensors")
    test = load_features(files["test_file"])
    guesses = (test.features @ layer["weight"].T + layer["bias"]).argmax(1)
    assert 100 * (guesses == test.labels).double().mean() == pytest.approx(found["test_top1_accuracy"])


def test_the_probe_never_lets_test_images_decide(tmp_path: Path, data: Path, files: dict[str, str]) -> None:
    test = load_features(files["test_file"])
    shuffled = tmp_path / "shuffled.safetensors"
    save_features(LabelledFeatures(test.features.flip(0) * 3, test.labels), shuffled)
    recipe = {"validation": 30, "weight_decays": GRID, **CPU}
    probe(experiment(tmp_path / "a", data, recipe), **files)
    probe(experiment(tmp_path / "b", data, recipe), train_file=files["train_file"], test_file=str(shuffled))
    a, b = ((tmp_path / name / "classifier.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_a_validation_split_as_large_as_the_data_is_refused(
    tmp_path: Path, data: Path, files: dict[str, str]
) -> None:
    with pytest.raises(TriptychError, match="validation is 120 of 120 training images"):
        probe(experiment(tmp_path, data, {"validation": 120, "weight_decays": GRID, **CPU}), **files)


def test_neighbours_and_a_fraction_of_the_labels_find_the_colours(
    tmp_path: Path, data: Path, files: dict[str, str]
) -> None:
    evaluate_knn(experiment(tmp_path / "knn", data, {"k": 10, "temperature": 0.1, **CPU}), **files)
    assert metrics(tmp_path / "knn")["test_top1_accuracy"] > 60  # chance is 33
    evaluate_knn(experiment(tmp_path / "auto", data, {"k": "auto", "temperature": 0.1, **CPU}), **files)
    assert (metrics(tmp_path / "knn")["k"], metrics(tmp_path / "auto")["k"]) == (10, 11)  # of 120 images
    recipe = {"percent": 20.0, "folds": 5, "weight_decays": GRID, **CPU}
    probe_label_fraction(experiment(tmp_path / "few", data, recipe), **files)
    few = metrics(tmp_path / "few")
    assert few["test_top1_accuracy"] > 60
    assert (few["labels"], few["folds"], len(few["path"])) == (24, 5, 4)


def test_a_fraction_has_two_images_of_each_class_at_least(
    tmp_path: Path, data: Path, files: dict[str, str]
) -> None:
    recipe = {"percent": 3.0, "folds": 5, "weight_decays": GRID, **CPU}
    probe_label_fraction(experiment(tmp_path, data, recipe), **files)
    assert (metrics(tmp_path)["labels"], metrics(tmp_path)["folds"]) == (6, 2)  # 3 % are 4
    with pytest.raises(TriptychError, match=r"2 training images of each class, .*set percents .* to \[\]"):
        labelled_images(torch.tensor([0, 0, 1]), percent=50, seed=0)


def test_the_sgd_probe_learns_on_a_frozen_encoder(tmp_path: Path, data: Path) -> None:
    pretrain(experiment(tmp_path / "simclr", data, SIMCLR))
    encoder = tmp_path / "simclr/encoder.safetensors"
    before = encoder.read_bytes()
    sgd_probe(experiment(tmp_path / "probe", data, {**PROBE, "epochs": 10}), str(encoder))
    found = metrics(tmp_path / "probe")
    assert found["test_top1_accuracy"] > 50  # chance is 33
    assert found["test_top5_accuracy"] == 100  # there are three classes
    assert encoder.read_bytes() == before
    record = metrics(tmp_path / "simclr")["provenance"]
    assert record["recipe"] == SIMCLR and record["seed"] == 0 and record["data"]["name"] == "colours"


def test_the_sgd_probe_leaves_the_encoder_frozen_and_in_eval_mode() -> None:
    model = FrozenEncoderClassifier(ResNet18(width=8), 64, 3).train()
    assert not model.encoder.training and model.linear.training
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


def test_an_encoder_of_another_width_is_one_clear_line(tmp_path: Path, data: Path, encoder: Path) -> None:
    wider = {**PROBE, "architecture": {**NETWORK, "options": {"width": 16}}}
    with pytest.raises(TriptychError, match="weights do not fit the configured architecture"):
        sgd_probe(experiment(tmp_path, data, wider), str(encoder))


def test_fine_tuning_trains_the_encoder_on_its_fraction(tmp_path: Path, data: Path, encoder: Path) -> None:
    augmentation = CLASSIFIER["base_augmentation"]
    recipe = {
        **TRAINING,
        "architecture": NETWORK,
        "percent": 50.0,
        "validation": 20,
        "base_augmentation": augmentation,
        "label_smoothing": 0.0,
        "class_weights": "balanced",
    }
    fine_tune(experiment(tmp_path, data, recipe), str(encoder))
    found = metrics(tmp_path)
    assert found["labels"] == 50 and found["epochs"] == 2
    assert found["training_flops"] == 3 * found["flops_per_image"] * 2 * 40  # whole batches of 20
    assert found["test_top1_accuracy"] > 40
    before, after = load_file(encoder), load_file(tmp_path / "model.safetensors")
    assert not torch.equal(before["stem.weight"], after["0.stem.weight"])


def test_the_map_names_images_and_classes(tmp_path: Path, data: Path, files: dict[str, str]) -> None:
    recipe = {"points": 15, "perplexity": 4, **CPU}
    map_features(experiment(tmp_path, data, recipe), features_file=files["test_file"])
    with (tmp_path / "map.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    dataset = load_packed(data)
    assert len(rows) == 15
    for row in rows:
        assert dataset.classes[dataset.test_labels[int(row["image"])]] == row["class"]
    assert metrics(tmp_path)["points"] == 15
