"""Linear evaluation: one linear layer on the features of a frozen encoder.

The encoder stays in eval mode: in train mode its batch norms would use the statistics of
each batch and drift, which is not frozen.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.classify.evaluation import evaluate
from triptych.classify.experiment import (
    Experiment,
    load_weights,
    save_weights,
    test_images,
    training_and_validation,
)
from triptych.data.device import DeviceImages
from triptych.nn.geometry import random_shift_flip_rotate
from triptych.nn.resnet import ResNet18
from triptych.run.devices import autocast
from triptych.run.files import digest_of_file
from triptych.training.engine import Batch


class FrozenEncoderClassifier(nn.Module):
    """A frozen encoder, kept in eval mode whatever happens around it, and a linear layer."""

    def __init__(self, encoder: ResNet18, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.linear = nn.Linear(encoder.features, num_classes)

    def train(self, mode: bool = True) -> "FrozenEncoderClassifier":
        """Switch the linear layer only."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, classes) logits."""
        return self.linear(self.encoder(x))


@torch.no_grad()
def encode(encoder: nn.Module, images: DeviceImages, precision: str) -> Tensor:
    """Features of all images without augmentation: (N, features) float32 on the images' device."""
    encoder.eval()
    features = []
    for indices in torch.arange(len(images)).split(500):
        with autocast(images.device, precision):
            features.append(encoder(images.normalise(images.pixels(indices))).float())
    return torch.cat(features)


def probe(experiment: Experiment, encoder_file: str) -> None:
    """Train a linear classifier on frozen features and test it once.

    The recipe holds `width`, `validation`, `augment` and what the engine needs. With `augment` every
    epoch encodes newly cropped and mirrored images, as the report does; without it the features are
    computed once. The last epoch's weights are taken; validation only draws the curve.
    Writes `metrics.json` (percent), `history.csv`, `tensorboard/` and `classifier.safetensors`.
    """
    recipe, device = experiment.recipe, experiment.device
    precision = recipe["precision"]
    dataset = experiment.dataset()
    train, validation = training_and_validation(dataset, recipe["validation"], device)
    experiment.seed_weights()
    model = FrozenEncoderClassifier(ResNet18(width=recipe["width"]), dataset.num_classes)
    load_weights(model.encoder, encoder_file)
    model.to(memory_format=torch.channels_last).to(device)
    features = None if recipe["augment"] else encode(model.encoder, train, precision)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        labels = train.labels[batch.indices.to(device)]
        if features is not None:
            return features[batch.indices.to(device)], labels
        pixels = random_shift_flip_rotate(
            train.pixels(batch.indices), padding=4, flip=0.5, degrees=0, generator=batch.generator
        )
        return train.normalise(pixels), labels

    def loss_of(inputs: tuple[Tensor, Tensor]) -> Tensor:
        x, labels = inputs
        logits = model(x) if features is None else model.linear(x)
        return F.cross_entropy(logits.float(), labels)

    def validate() -> dict[str, float]:
        return evaluate(model, validation, precision=precision, prefix="validation_")

    checkpoints = experiment.open_checkpoints(dataset, encoder=digest_of_file(encoder_file))
    fitted = experiment.fit(
        model, prepare, loss_of, size=len(train), checkpoints=checkpoints, evaluate=validate
    )
    test = evaluate(model, test_images(dataset, device), precision=precision)
    save_weights(model.linear, experiment.folder / "classifier.safetensors")
    metrics = {
        "test_top1_accuracy": 100 - test["top1_error"],
        "test_top5_accuracy": 100 - test["top5_error"],
        "validation_top1_accuracy": 100 - fitted.rows[-1]["validation_top1_error"],
        "epochs": recipe["epochs"],
    }
    experiment.write_metrics(metrics, dataset, fitted.seconds)
    checkpoints.remove()
