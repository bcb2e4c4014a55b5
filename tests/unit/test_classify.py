"""Supervised training and evaluation, run for real on a few pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_experiments import CLASSIFIER, experiment, metrics, save_colours

from triptych.classify import classifier
from triptych.classify.classifier import Classification, train_classifier
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset, load_packed
from triptych.experiments.evaluation import Predictions, class_weights, evaluate
from triptych.experiments.experiment import training_and_validation
from triptych.experiments.operation_count import forward_flops
from triptych.experiments.training import run_training
from triptych.models import resnet
from triptych.workflow.errors import TriptychError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colours(tmp_path_factory.mktemp("data"))


def test_a_classifier_learns_chooses_on_validation_and_reports_in_percent(tmp_path: Path, data: Path) -> None:
    train_classifier(experiment(tmp_path, data, {**CLASSIFIER, "epochs": 5}))
    found = metrics(tmp_path)
    assert found["test_top1_error"] < 40  # chance is 67
    assert found["test_top1_error"] + found["test_top1_accuracy"] == 100
    assert 1 <= found["best_epoch"] <= 5
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,train_loss,validation_loss,validation_top1_error,validation_top5_error")
    assert {"clean_train_loss", "clean_train_top1_error"} <= set(rows[0].split(","))
    best = min(float(row.split(",")[3]) for row in rows[1:])
    assert found["validation_top1_error"] == best


def test_a_classifier_saves_its_predictions_and_reads_the_test_images_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    class Watched(DeviceImages):
        def uint8(self, indices: torch.Tensor) -> torch.Tensor:
            read.extend(indices.tolist())
            return super().uint8(indices)

    def watched(dataset: PackedDataset, device: torch.device) -> DeviceImages:
        images, labels = dataset.test_images, dataset.test_labels
        return Watched(images, labels, mean=dataset.mean, std=dataset.std, device=device)

    monkeypatch.setattr("triptych.classify.classifier.test_images", watched)
    train_classifier(experiment(tmp_path, data, CLASSIFIER))
    assert read == list(range(30))
    predictions = np.load(tmp_path / "predictions.npy")
    assert predictions.dtype == np.uint8
    wrong = predictions != load_packed(data).test_labels
    found = metrics(tmp_path)
    assert found["test_top1_error"] == pytest.approx(100 * wrong.mean())
    assert "test_superclass_error" not in found  # colours have none


def test_a_classifier_says_what_its_training_cost(tmp_path: Path, data: Path) -> None:
    train_classifier(experiment(tmp_path, data, CLASSIFIER))
    found = metrics(tmp_path)
    forward = forward_flops(resnet.build(3, 16, width=8), 16)
    assert found["flops_per_image"] == forward
    assert found["training_flops"] == 3 * forward * 2 * 100  # two epochs of 120 - 20 images
    rows = (tmp_path / "history.csv").read_text().splitlines()
    column = rows[0].split(",").index("images_per_second")
    speeds = [float(row.split(",")[column]) for row in rows[1:]]
    assert min(speeds) <= found["images_per_second"] <= max(speeds)


def test_a_prediction_within_the_true_superclass_is_no_superclass_error() -> None:
    predictions = Predictions(
        0.0, top=torch.tensor([[0, 1], [1, 0], [2, 0], [0, 2]]), labels=torch.tensor([0, 0, 0, 2])
    )
    assert predictions.errors("test_") == {"test_loss": 0.0, "test_top1_error": 75.0, "test_top5_error": 0.0}
    assert predictions.group_error((0, 0, 1)) == 50.0


def test_evaluation_agrees_with_sorting_by_hand(data: Path) -> None:
    dataset = load_packed(data)
    images = classifier.test_images(dataset, torch.device("cpu"))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16 * 16 * 3, 9))
    scores = evaluate(model, images, precision="float32")
    pixels = (dataset.test_images / 255 - np.array(dataset.mean)) / np.array(dataset.std)
    with torch.no_grad():
        logits = model(torch.from_numpy(pixels).float().permute(0, 3, 1, 2)).numpy()
    order = np.argsort(-logits, axis=1)
    labels = dataset.test_labels[:, None]
    assert scores["top1_error"] == pytest.approx(100 * (order[:, :1] != labels).mean())
    assert scores["top5_error"] == pytest.approx(100 * (1 - (order[:, :5] == labels).any(1).mean()))
    shifted = logits - logits.max(1, keepdims=True)
    log_likelihood = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    assert scores["loss"] == pytest.approx(
        -log_likelihood[np.arange(30), dataset.test_labels].mean(), rel=1e-4
    )


def test_a_validation_split_larger_than_the_data_is_one_clear_line(data: Path) -> None:
    with pytest.raises(TriptychError, match="validation is 120 of 120 training images; lower validation"):
        training_and_validation(load_packed(data), 120, torch.device("cpu"))


def test_two_workers_train_one_network(tmp_path: Path, data: Path) -> None:
    options = {"dim": 16, "depth": 1, "heads": 2, "mlp": 16}
    network = {"architecture": {"module": "triptych.models.vit", "options": options}}
    recipe = {**CLASSIFIER, **network, "optimizer": "adamw", "learning_rate": 0.01, "epochs": 4, "gpus": 2}
    run_training(train_classifier, experiment(tmp_path, data, recipe))
    assert metrics(tmp_path)["test_top1_accuracy"] > 40  # chance is 33
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 5
    with pytest.raises(TriptychError, match="gpus is 2 but device 'cpu:0' is a single one; set device: cpu"):
        run_training(train_classifier, experiment(tmp_path, data, {**recipe, "device": "cpu:0"}))


def test_balanced_class_weights_give_each_class_the_same_total_weight() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    weights = class_weights("balanced", labels, 5)
    assert weights is not None
    totals = torch.bincount(labels, weights[labels], minlength=5)
    torch.testing.assert_close(totals, torch.tensor([10, 10, 0, 10, 0]) / 3)
    assert weights[labels].mean().item() == pytest.approx(1)
    assert class_weights(None, labels, 5) is None


def test_a_loss_with_class_weights_counts_a_rare_class_more(data: Path) -> None:
    dataset = load_packed(data)
    few = np.flatnonzero((dataset.train_labels == 0) | (np.arange(120) % 10 == 1))
    rare = replace(dataset, train_images=dataset.train_images[few], train_labels=dataset.train_labels[few])
    plain, training = (
        Classification({**CLASSIFIER, "class_weights": kind, "validation": 4}, rare, torch.device("cpu"))
        for kind in (None, "balanced")
    )
    pixels, labels = torch.rand(2, 3, 16, 16), torch.eye(3)[[0, 1]]
    plain.model.load_state_dict(training.model.state_dict())
    learnings = [(learning, learning.model.eval()) for learning in (plain, training)]
    frequent = [learning.loss(model, (pixels[:1], labels[:1])) for learning, model in learnings]
    rarely = [learning.loss(model, (pixels[1:], labels[1:])) for learning, model in learnings]
    assert frequent[1] < frequent[0] and rarely[1] > rarely[0]
