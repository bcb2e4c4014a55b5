"""Linear evaluation by SGD, as in the report: images are cropped and mirrored at random in every epoch.

The encoder stays in eval mode: in train mode its batch norms would use the statistics of
each batch and drift, so it would not be frozen.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.augment.geometry import random_geometry
from triptych.experiments.evaluation import accuracies, cross_entropy, test_accuracies
from triptych.experiments.experiment import (
    Experiment,
    load_weights,
    save_weights,
    test_images,
    training_and_validation,
)
from triptych.experiments.training import open_checkpoints
from triptych.ssl.encoder import build_encoder
from triptych.ssl.encoding import encode
from triptych.training.batches import Batch
from triptych.training.distributed import rank
from triptych.training.loop import fit
from triptych.workflow.files import digest_of_file


class FrozenEncoderClassifier(nn.Module):
    """A frozen encoder, always in eval mode, and a linear layer."""

    def __init__(self, encoder: nn.Module, features: int, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.linear = nn.Linear(features, num_classes)

    def train(self, mode: bool = True) -> "FrozenEncoderClassifier":
        """Switch the linear layer only."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, classes) logits."""
        with torch.no_grad():
            features = self.encoder(x)
        return self.linear(features)


def sgd_probe(experiment: Experiment, encoder_file: str) -> None:
    """Train a linear classifier on the frozen encoder's features of augmented images; test it once.

    The recipe holds `architecture` (module, options), `validation` and what `fit` needs. The last epoch's
    weights are kept; validation only draws the curve. Writes `metrics.json` (percent), `history.csv`,
    `tensorboard/` and `classifier.safetensors`. Raises `TriptychError` if the recipe does not fit the data
    (see `fit` and `training_and_validation`), or the weights do not fit the architecture.
    """
    recipe, device = experiment.recipe, experiment.device
    precision = recipe["precision"]
    dataset = experiment.dataset()
    train, validation = training_and_validation(dataset, recipe["validation"], device)
    experiment.seed_weights()
    encoder, features = build_encoder(recipe["architecture"], dataset.image_size[0])
    model = FrozenEncoderClassifier(encoder, features, dataset.num_classes)
    load_weights(model.encoder, encoder_file)
    model.to(memory_format=torch.channels_last).to(device)
    # Neither these images nor the encoder change: only the linear layer is evaluated again.
    validation_features = encode(model.encoder, validation, precision=precision)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        pixels, generator = train.pixels(batch.indices), batch.generator
        pixels = random_geometry(pixels, padding=4, flip=0.5, degrees=0, size=train.side, generator=generator)
        return train.normalise(pixels), train.labels[batch.indices.to(device)]

    def loss(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> Tensor:
        pixels, labels = inputs
        return F.cross_entropy(model(pixels).float(), labels)

    @torch.no_grad()
    def validate() -> dict[str, float]:
        logits = model.linear(validation_features)
        found = accuracies(logits, validation.labels)
        return {
            "validation_loss": cross_entropy(logits, validation.labels),
            "validation_top1_error": 100 - found["top1_accuracy"],
            "validation_top5_error": 100 - found["top5_accuracy"],
        }

    checkpoints = open_checkpoints(experiment, dataset, encoder=digest_of_file(encoder_file))
    fitted = fit(
        model,
        prepare,
        loss,
        num_examples=len(train),
        **experiment.fit_options(),  # recipe, seed, device, label, folder
        checkpoints=checkpoints,
        evaluate=validate,
    )
    if rank() > 0:
        return
    test = test_images(dataset, device)
    with torch.no_grad():
        scores = model.linear(encode(model.encoder, test, precision=precision))
    save_weights(model.linear, experiment.folder / "classifier.safetensors")
    metrics = {
        **test_accuracies(scores, test.labels),
        "validation_top1_accuracy": 100 - fitted.rows[-1]["validation_top1_error"],
        "epochs": recipe["epochs"],
        "seconds": fitted.seconds,
    }
    experiment.write_metrics(metrics, dataset, fitted.seconds)
