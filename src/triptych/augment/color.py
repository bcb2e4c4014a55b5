"""Colour distortion of a batch, with parameters drawn per sample.

The operations and their distributions are those of torchvision's ColorJitter and
RandomGrayscale (on float images), which draw one set of parameters for a whole batch.
"""

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601-2, as torchvision has it


def luminance(images: Tensor) -> Tensor:
    """(N, 3, H, W) RGB -> (N, 1, H, W) grey."""
    r, g, b = images.unbind(1)
    return (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b).unsqueeze(1)


def _blend(images: Tensor, other: Tensor | float, factor: Tensor) -> Tensor:
    factor = factor.view(-1, 1, 1, 1)
    return (images * factor + other * (1 - factor)).clamp_(0, 1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; factor (N,), 1 keeps the image."""
    return _blend(images, 0.0, factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean luminance of each image; factor (N,)."""
    return _blend(images, luminance(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; factor (N,)."""
    return _blend(images, luminance(images), factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Rotate the hue in HSV space; shift (N,) in turns, in [-0.5, 0.5]."""
    high, which = images.max(dim=1)
    low = images.min(dim=1).values
    chroma = high - low
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    r, g, b = images.unbind(1)
    sector = torch.where(
        which == 0, (g - b) / safe, torch.where(which == 1, 2 + (b - r) / safe, 4 + (r - g) / safe)
    )
    hue = 6 * shift.view(-1, 1, 1) + sector
    # f(n) = V - C * max(0, min(k, 4 - k, 1)) with k = (n + H) mod 6, for n = 5, 3, 1
    channels = []
    for n in (5, 3, 1):
        k = (n + hue) % 6
        channels.append(high - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, dim=1)


def draw_jitter(
    n: int, *, strength: tuple[float, float, float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(N, 4) factors of torchvision's ColorJitter, and (N, 4) int64, the order in which they are applied.

    By `strength` brightness, contrast and saturation are uniform around 1 (but not below 0), the hue around
    0.
    """
    device = generator.device
    low = [max(0.0, 1 - width) for width in strength[:3]] + [-strength[3]]
    high = [1 + width for width in strength[:3]] + [strength[3]]
    factors = torch.rand(n, 4, generator=generator, device=device)
    factors = torch.lerp(torch.tensor(low, device=device), torch.tensor(high, device=device), factors)
    return factors, torch.rand(n, 4, generator=generator, device=device).argsort(dim=1)


def jitter(images: Tensor, factors: Tensor, order: Tensor, jittered: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, one after the other, clamped after each.

    Images are (N, 3, H, W) float in 0..1; those that are not `jittered` (N,) stay as they are.
    """
    operations = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    images = images.clone()
    for place in range(4):
        for which, operation in enumerate(operations):
            chosen = ((order[:, place] == which) & jittered).nonzero().squeeze(1)
            images[chosen] = operation(images[chosen], factors[chosen, which])
    return images


def remove_color(images: Tensor, grey: Tensor) -> Tensor:
    """Replace the images for which `grey` (N,) is true by their luminance."""
    return torch.where(grey.view(-1, 1, 1, 1), luminance(images).expand_as(images), images)
