"""Features of images by a frozen encoder, computed once and kept for all evaluations."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from triptych.experiments.experiment import Experiment, load_weights, test_images, training_images
from triptych.ssl.encoder import build_encoder
from triptych.ssl.encoding import encode, feature_spread
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, write_tensors


@dataclass(frozen=True)
class LabelledFeatures:
    """Features (N, D) float32 and labels (N,) int64, in the order of the data set's images."""

    features: Tensor
    labels: Tensor

    def select(self, indices: Tensor) -> "LabelledFeatures":
        """The examples at (M,) int64 indices."""
        return LabelledFeatures(self.features[indices], self.labels[indices])


def compute_features(experiment: Experiment, encoder_file: str) -> None:
    """Encode all training and test images.

    The recipe holds `architecture` (module, options), `device` and `precision`. Writes `train.safetensors`,
    `test.safetensors` and `metrics.json`.
    Raises `TriptychError` if the weights do not fit the architecture, or a feature is not finite.
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    encoder, dimensions = build_encoder(recipe["architecture"], dataset.image_size[0])
    load_weights(encoder, encoder_file)
    encoder.to(memory_format=torch.channels_last).to(device).eval()
    splits = {"train": training_images(dataset, device), "test": test_images(dataset, device)}
    start = time.monotonic()
    features = {
        name: LabelledFeatures(
            encode(encoder, images, precision=recipe["precision"])
            if len(images)
            else torch.empty(0, dimensions),
            images.labels,
        )
        for name, images in splits.items()
    }
    seconds = time.monotonic() - start
    for name, examples in features.items():
        if not examples.features.isfinite().all():
            raise TriptychError(f"{encoder_file}: some {name} features are not finite; pretrain again")
        save_features(examples, experiment.folder / f"{name}.safetensors")
    metrics = {
        "train_images": len(splits["train"]),
        "test_images": len(splits["test"]),
        "dimensions": dimensions,
        "feature_std": feature_spread(features["train"].features),
    }
    experiment.write_metrics(metrics, dataset, seconds)


def save_features(examples: LabelledFeatures, target: Path) -> None:
    """Write `features` and `labels` as safetensors.

    In float32, although 50,000 times 512 then take 102 MB: float16 would flush the features of a nearly
    dead channel to zero, and standardising magnifies exactly those.
    """
    tensors = {"features": examples.features.cpu().contiguous(), "labels": examples.labels.cpu()}
    with atomic_path(target) as temporary:
        write_tensors(temporary, tensors)


def load_features(source: str | Path) -> LabelledFeatures:
    """Read what `save_features` wrote, onto the CPU. Raises `TriptychError` if the file is damaged."""
    try:
        tensors = load_file(source)
        features, labels = tensors["features"], tensors["labels"]
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise ValueError(f"shapes {tuple(features.shape)} and {tuple(labels.shape)}")
        return LabelledFeatures(features, labels)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TriptychError(
            f"{source}: cannot be read as features ({error}); delete the file and run again"
        ) from error
