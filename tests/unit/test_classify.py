"""The experiments of the first two parts, run for real on a few pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych.classify.classifier import train_classifier
from triptych.classify.evaluation import Answers, evaluate
from triptych.classify.experiment import Experiment, load_weights, training_and_validation
from triptych.classify.operation_count import forward_flops
from triptych.data.device import DeviceImages
from triptych.data.packed import LabelledImages, PackedDataset, load_packed, save_packed
from triptych.models import resnet
from triptych.models.resnet import ResNet18
from triptych.ssl.sgd_probe import FrozenEncoderClassifier, augmented_probe
from triptych.ssl.simclr import initialise, pretrain
from triptych.workflow.errors import TriptychError
from triptych.workflow.job import Job

TRAINING = {
    "epochs": 2,
    "batch_size": 20,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "adam_learning_rate": None,
    "nesterov": False,
    "weight_decay": 0.0,
    "schedule": "constant",
    "milestones": [],
    "gamma": 0.2,
    "warmup_epochs": 0,
    "device": "cpu",
    "precision": "float32",
    "accumulate": 1,
    "decay_biases": True,
    "clip_norm": None,
    "ema": 0.0,
    "min_lr_ratio": 0.0,
    "compile": False,
    "gpus": 1,
}
VIEWS = {
    "count": 2,
    "crop_scale": [0.2, 1.0],
    "jitter": [0.4, 0.4, 0.4, 0.1],
    "jitter_probability": 0.8,
    "grayscale_probability": 0.2,
    "blur_probability": 0.5,
}
SIMCLR = {
    **TRAINING,
    "width": 8,
    "head_hidden": 32,
    "head_out": 16,
    "head_norm": True,
    "temperature": 0.5,
    "decoupled": False,
    "views": VIEWS,
    "progressive_resizing": [],
    "minutes": None,
    "monitor_every": 1,
}
PROBE = {**TRAINING, "width": 8, "validation": 20}
CLASSIFIER = {
    **TRAINING,
    "architecture": {"module": "triptych.models.resnet", "options": {"width": 8}},
    "base_augmentation": {"padding": 2, "flip": 0.5, "degrees": 15},
    "augmentation": {"method": "cutmix", "alpha": 0.4, "probability": 0.5, "size": 4},
    "validation": 20,
    "label_smoothing": 0.1,
}


def save_colours(folder: Path) -> Path:
    """Three classes that differ in their mean colour: even two epochs learn something."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 3
        images = rng.integers(0, 120, (n, 16, 16, 3))
        images[np.arange(n), :, :, labels] += 100
        return images.astype(np.uint8), labels.astype(np.int64)

    arrays = LabelledImages(*draw(120), *draw(30), classes=("red", "green", "blue"), source={"kind": "test"})
    save_packed(folder, arrays, name="colours", provenance={})
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colours(tmp_path_factory.mktemp("data"))


def experiment(folder: Path, data: Path, recipe: dict[str, Any], seed: int = 0) -> Experiment:
    return Experiment(
        label="test",
        data=str(data),
        recipe=recipe,
        seed=seed,
        folder=folder,
        checkpoints=folder / "checkpoints",
        checkpoint_minutes=5,
        running=Job([]),
    )


def metrics(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return record


def test_simclr_then_probe_on_the_frozen_encoder(tmp_path: Path, data: Path) -> None:
    pretrain(experiment(tmp_path / "simclr", data, SIMCLR))
    encoder = tmp_path / "simclr/encoder.safetensors"
    before = encoder.read_bytes()
    augmented_probe(experiment(tmp_path / "probe", data, {**PROBE, "epochs": 10}), str(encoder))
    found = metrics(tmp_path / "probe")
    assert found["test_top1_accuracy"] > 50  # chance is 33
    assert found["test_top5_accuracy"] == 100  # there are three classes
    assert encoder.read_bytes() == before
    assert not (tmp_path / "simclr/checkpoints").exists()
    record = metrics(tmp_path / "simclr")["provenance"]
    assert record["recipe"] == SIMCLR and record["seed"] == 0 and record["data"]["name"] == "colours"


def test_pretraining_twice_gives_the_same_bits_and_another_seed_others(tmp_path: Path, data: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(experiment(tmp_path / name, data, {**SIMCLR, "epochs": 1}, seed))
    a, b, c = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_the_random_encoder_starts_where_pretraining_starts(tmp_path: Path, data: Path) -> None:
    recipe = {**SIMCLR, "learning_rate": 1e-20, "epochs": 1}
    initialise(
        experiment(tmp_path / "random", data, {key: SIMCLR[key] for key in ("width", "device", "precision")})
    )
    pretrain(experiment(tmp_path / "simclr", data, recipe))
    random, trained = ResNet18(width=8), ResNet18(width=8)
    load_weights(random, tmp_path / "random/encoder.safetensors")
    load_weights(trained, tmp_path / "simclr/encoder.safetensors")
    for (name, a), b in zip(random.named_parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert random.norm.running_mean.abs().sum() > 0  # its batch norms have seen the data


def test_the_probe_leaves_the_encoder_frozen_and_in_eval_mode() -> None:
    model = FrozenEncoderClassifier(ResNet18(width=8), 3).train()
    assert not model.encoder.training and model.linear.training
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


def test_a_probe_of_another_width_says_that_the_weights_do_not_fit(tmp_path: Path, data: Path) -> None:
    initialise(experiment(tmp_path, data, {"width": 16, "device": "cpu", "precision": "float32"}))
    with pytest.raises(TriptychError, match="weights do not fit the configured architecture"):
        augmented_probe(experiment(tmp_path / "probe", data, PROBE), str(tmp_path / "encoder.safetensors"))


def test_a_classifier_learns_chooses_on_validation_and_reports_in_percent(tmp_path: Path, data: Path) -> None:
    train_classifier(experiment(tmp_path, data, {**CLASSIFIER, "epochs": 5}))
    found = metrics(tmp_path)
    assert found["test_top1_error"] < 40  # chance is 67
    assert found["test_top1_error"] + found["test_top1_accuracy"] == 100
    assert 1 <= found["best_epoch"] <= 5
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,train_loss,validation_loss,validation_top1_error,validation_top5_error")
    best = min(float(row.split(",")[3]) for row in rows[1:])
    assert found["validation_top1_error"] == best


def test_a_classifier_keeps_what_it_predicted_and_asks_the_test_images_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Watched(DeviceImages):
        def pixels(self, indices: torch.Tensor) -> torch.Tensor:
            asked.extend(indices.tolist())
            return super().pixels(indices)

    def watched(dataset: PackedDataset, device: torch.device) -> DeviceImages:
        images, labels = dataset.test_images, dataset.test_labels
        return Watched(images, labels, mean=dataset.mean, std=dataset.std, device=device)

    monkeypatch.setattr("triptych.classify.classifier.test_images", watched)
    train_classifier(experiment(tmp_path, data, CLASSIFIER))
    assert asked == list(range(30))
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


def test_an_answer_within_the_right_superclass_is_no_error_of_superclasses() -> None:
    answers = Answers(
        0.0, ranked=torch.tensor([[0, 1], [1, 0], [2, 0], [0, 2]]), labels=torch.tensor([0, 0, 0, 2])
    )
    assert answers.scores("test_") == {"test_loss": 0.0, "test_top1_error": 75.0, "test_top5_error": 0.0}
    assert answers.group_error((0, 0, 1)) == 50.0


def test_evaluation_agrees_with_sorting_by_hand(data: Path) -> None:
    dataset = load_packed(data)
    images = DeviceImages(
        dataset.test_images,
        dataset.test_labels,
        mean=dataset.mean,
        std=dataset.std,
        device=torch.device("cpu"),
    )
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
