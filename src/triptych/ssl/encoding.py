"""Features of images by a frozen encoder, and how far they are from a collapse."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.data.device import DeviceImages
from triptych.kernels.registry import accelerate
from triptych.workflow.devices import autocast


@torch.no_grad()
def encode(
    encoder: nn.Module, images: DeviceImages, *, precision: str, indices: Tensor | None = None
) -> Tensor:
    """Features (N, D) float32 of the images at `indices` (by default all), without augmentation, in eval
    mode.
    """
    training = encoder.training
    accelerate(encoder).eval()
    features = []
    for batch in images.batches(indices):
        with autocast(images.device, precision):
            features.append(encoder(images.normalise(images.centres(batch))).float())
    encoder.train(training)
    return torch.cat(features)


def feature_spread(features: Tensor) -> float:
    """How far L2-normalised features (N, D) are from a collapse into one direction.

    The standard deviation over the features, averaged over the dimensions, times sqrt(D): 0 when all
    are equal, 1 when their directions are spread evenly over the sphere ("Exploring Simple Siamese
    Representation Learning", Chen and He 2021, section 4.1). Features after a ReLU lie in the
    positive orthant and stay below 1.
    """
    directions = F.normalize(features.float(), dim=1)
    return math.sqrt(features.shape[1]) * directions.std(dim=0, correction=0).mean().item()
