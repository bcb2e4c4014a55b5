"""Features of images as a frozen encoder sees them: no augmentation, batch norms in eval mode."""

import torch
from torch import Tensor, nn

from triptych.data.device import DeviceImages
from triptych.workflow.devices import autocast

BATCH = 500


@torch.no_grad()
def encode(
    encoder: nn.Module, images: DeviceImages, *, precision: str, indices: Tensor | None = None
) -> Tensor:
    """Features of the images at `indices` (all by default), in that order.

    The encoder is in eval mode meanwhile and then in the mode in which it was.

    Returns:
        (N, features) float32 on the images' device.
    """
    chosen = torch.arange(len(images)) if indices is None else indices
    training = encoder.training
    encoder.eval()
    features = []
    for batch in chosen.split(BATCH):
        with autocast(images.device, precision):
            features.append(encoder(images.normalise(images.pixels(batch))).float())
    encoder.train(training)
    return torch.cat(features)
