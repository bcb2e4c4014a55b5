"""Mixup, Cutout and CutMix, drawn per sample.

Zhang et al. 2018 (mixup); DeVries and Taylor 2017 (Cutout); Yun et al. 2019 (CutMix).
All take normalised images (N, C, H, W) and label distributions (N, classes) and return the same.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def _beta(alpha: float, n: int, generator: torch.Generator) -> Tensor:
    """(N,) samples of Beta(alpha, alpha), as G1 / (G1 + G2) of two Gamma(alpha) samples."""
    concentration = torch.full((2, n), alpha, dtype=torch.float64, device=generator.device)
    gamma = torch._standard_gamma(concentration, generator=generator).clamp_(min=1e-300)
    return (gamma[0] / gamma.sum(dim=0)).float()


def _boxes(
    height: int, width: int, box_h: Tensor, box_w: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Boxes of the given sides around uniform centres, clipped by the border.

    Returns:
        mask (N, 1, H, W), True inside; share of the picture inside (N,), exact.
    """
    n, device = len(box_h), box_h.device
    centre_y = torch.randint(0, height, (n,), generator=generator, device=device)
    centre_x = torch.randint(0, width, (n,), generator=generator, device=device)
    top = (centre_y - box_h // 2).view(-1, 1)
    left = (centre_x - box_w // 2).view(-1, 1)
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (rows >= top) & (rows < top + box_h.view(-1, 1))
    in_columns = (columns >= left) & (columns < left + box_w.view(-1, 1))
    mask = in_rows.view(n, 1, height, 1) & in_columns.view(n, 1, 1, width)
    return mask, in_rows.sum(1) * in_columns.sum(1) / (height * width)


def mixup(
    images: Tensor, targets: Tensor, *, alpha: float, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each image and its label with another's, with a weight of Beta(alpha, alpha)."""
    n, device = len(images), images.device
    weight = _beta(alpha, n, generator)
    applied = torch.rand(n, generator=generator, device=device) < probability
    weight = torch.where(applied, weight, torch.ones_like(weight))
    other = torch.randperm(n, generator=generator, device=device)
    pixels = weight.view(-1, 1, 1, 1)
    labels = weight.view(-1, 1)
    return pixels * images + (1 - pixels) * images[other], labels * targets + (1 - labels) * targets[other]


def cutmix(
    images: Tensor, targets: Tensor, *, alpha: float, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste a box of another image; labels are weighted by the area that was truly pasted."""
    n, _, height, width = images.shape
    device = images.device
    side = (1 - _beta(alpha, n, generator)).sqrt()
    applied = torch.rand(n, generator=generator, device=device) < probability
    side = torch.where(applied, side, torch.zeros_like(side))
    mask, share = _boxes(height, width, (side * height).long(), (side * width).long(), generator)
    other = torch.randperm(n, generator=generator, device=device)
    pasted = share.view(-1, 1)
    return torch.where(mask, images[other], images), (1 - pasted) * targets + pasted * targets[other]


def cutout(
    images: Tensor, targets: Tensor, *, size: int, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blank a square of `size` pixels, which may reach over the border; labels stay."""
    n, _, height, width = images.shape
    applied = torch.rand(n, generator=generator, device=images.device) < probability
    side = torch.where(applied, size, 0)
    mask, _ = _boxes(height, width, side, side, generator)
    return images.masked_fill(mask, 0.0), targets


def mix(
    images: Tensor, targets: Tensor, setting: Mapping[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Apply one setting of the grid: `method` (none, mixup, cutout, cutmix) and its numbers."""
    method = setting["method"]
    probability = setting["probability"]
    if method == "mixup":
        return mixup(images, targets, alpha=setting["alpha"], probability=probability, generator=generator)
    if method == "cutmix":
        return cutmix(images, targets, alpha=setting["alpha"], probability=probability, generator=generator)
    if method == "cutout":
        return cutout(images, targets, size=setting["size"], probability=probability, generator=generator)
    return images, targets
