"""The features of a whole data set by a frozen encoder."""

import time

import torch

from triptych.classify.experiment import Experiment, load_weights, test_images
from triptych.data.device import DeviceImages
from triptych.models.resnet import ResNet18
from triptych.ssl.encoding import encode
from triptych.ssl.features import LabelledFeatures, save_features
from triptych.ssl.knn import feature_spread
from triptych.workflow.errors import TriptychError


def compute_features(experiment: Experiment, encoder_file: str) -> None:
    """Encode all training and test images without augmentation.

    The recipe holds `width`, `device` and `precision`. Writes `train.safetensors`, `test.safetensors`
    and `metrics.json`.

    Raises:
        TriptychError: the weights do not fit the width, or a feature is not finite.
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    encoder = ResNet18(width=recipe["width"])
    load_weights(encoder, encoder_file)
    encoder.to(memory_format=torch.channels_last).to(device).eval()
    train_images = DeviceImages(
        dataset.train_images, dataset.train_labels, mean=dataset.mean, std=dataset.std, device=device
    )
    began = time.monotonic()
    parts = {
        name: LabelledFeatures(encode(encoder, images, precision=recipe["precision"]), images.labels)
        for name, images in (("train", train_images), ("test", test_images(dataset, device)))
    }
    seconds = time.monotonic() - began
    for name, examples in parts.items():
        if not examples.features.isfinite().all():
            raise TriptychError(f"{encoder_file}: some {name} features are not finite; pretrain anew")
        save_features(examples, experiment.folder / f"{name}.safetensors")
    metrics = {
        "train_images": len(parts["train"].labels),
        "test_images": len(parts["test"].labels),
        "dimensions": encoder.features,
        "feature_std": feature_spread(parts["train"].features),
    }
    experiment.write_metrics(metrics, dataset, seconds)
