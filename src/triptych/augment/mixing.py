"""Mixup, Cutout and CutMix, drawn per sample or, with `per_batch`, once for all images.

Zhang et al. 2018 (mixup); DeVries and Taylor 2017 (Cutout); Yun et al. 2019 (CutMix).
All turn normalised images (N, C, H, W) and label distributions (N, classes) into new ones of the same
shapes and memory format.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from triptych.augment.geometry import inside_boxes


def _beta(alpha: float, n: int, generator: torch.Generator) -> Tensor:
    """(N,) weights (lambda) from Beta(alpha, alpha), as G1 / (G1 + G2) of two Gamma(alpha) samples."""
    # In float64 the Gamma samples of a small alpha do not underflow; Apple's GPUs do not support it.
    dtype = torch.float32 if generator.device.type == "mps" else torch.float64
    concentration = torch.full((2, n), alpha, dtype=dtype, device=generator.device)
    gamma = torch._standard_gamma(concentration, generator=generator).clamp_(min=torch.finfo(dtype).tiny)
    return (gamma[0] / gamma.sum(dim=0)).float()


def _partners(n: int, generator: torch.Generator) -> Tensor:
    """(N,) a partner for each image: the next one in a random cycle, hence never itself if N > 1."""
    cycle = torch.randperm(n, generator=generator, device=generator.device)
    return torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))


def _selected(n: int, probability: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) < probability


def _boxes(height: int, width: int, tall: Tensor, wide: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 4) boxes of the given sides, centred on uniform pixels, so that they may cross the border."""
    n, device = len(tall), tall.device
    centre_y = torch.randint(0, height, (n,), generator=generator, device=device)
    centre_x = torch.randint(0, width, (n,), generator=generator, device=device)
    return torch.stack([centre_y - tall // 2, centre_x - wide // 2, tall, wide], dim=1)


def mixup(
    images: Tensor,
    targets: Tensor,
    *,
    alpha: float,
    probability: float,
    per_batch: bool = False,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Blend each image and its label with another's, with a weight (lambda) of Beta(alpha, alpha)."""
    n = len(images)
    draws = 1 if per_batch else n
    weight = _beta(alpha, draws, generator)
    weight = torch.where(_selected(draws, probability, generator), weight, torch.ones_like(weight))
    partner = _partners(n, generator)
    pixels = torch.lerp(images[partner], images, weight.view(-1, 1, 1, 1))
    return pixels, torch.lerp(targets[partner], targets, weight.view(-1, 1))


def cutmix(
    images: Tensor,
    targets: Tensor,
    *,
    alpha: float,
    probability: float,
    per_batch: bool = False,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Paste a box of another image; labels are weighted by the pasted area.

    Before it is clipped at the border, the box covers a Beta(alpha, alpha) fraction of the image.
    """
    n, _, height, width = images.shape
    draws = 1 if per_batch else n
    side = (1 - _beta(alpha, draws, generator)).sqrt() * _selected(draws, probability, generator)
    boxes = _boxes(height, width, (side * height).long(), (side * width).long(), generator)
    rows, columns = inside_boxes(boxes, height, width)
    partner = _partners(n, generator)
    area = (rows.sum(1) * columns.sum(1) / (height * width)).unsqueeze(1)
    mask = rows.view(draws, 1, height, 1) & columns.view(draws, 1, 1, width)
    return torch.where(mask, images[partner], images), torch.lerp(targets, targets[partner], area)


def cutout(
    images: Tensor, targets: Tensor, *, size: int, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blank a square of `size` pixels, which may reach over the border; labels stay."""
    n, _, height, width = images.shape
    side = size * _selected(n, probability, generator)
    rows, columns = inside_boxes(_boxes(height, width, side, side, generator), height, width)
    mask = rows.view(n, 1, height, 1) & columns.view(n, 1, 1, width)
    # Not masked_fill, which does not keep the memory format (channels last).
    return torch.where(mask, 0.0, images), targets


METHODS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "mixup": mixup,
    "cutout": cutout,
    "cutmix": cutmix,
}


def mix(
    images: Tensor, targets: Tensor, augmentation: Mapping[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Apply the `method` of `augmentation` (none, mixup, cutout, cutmix) with its parameters there."""
    if augmentation["method"] == "none":
        return images, targets
    method = METHODS[augmentation["method"]]
    knobs = {name: augmentation[name] for name in signature(method).parameters if name in augmentation}
    return method(images, targets, **knobs, generator=generator)
