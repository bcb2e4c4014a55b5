"""RandAugment of a batch: Cubuk et al., RandAugment, 2020.

Each image draws its own operations and signs. The operations and their strengths are torchvision's,
which draws one set for a whole batch; moved images are interpolated bilinearly.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.augment.color import adjust_brightness, adjust_contrast, adjust_saturation

# Values of the operations at strength 1. Strengths are from -1 to 1.
SHEAR = 0.3  # pixels per pixel
SHIFT = 150 / 331  # fraction of the image
DEGREES = 30.0
ENHANCE = 0.9  # around the factor 1
BITS = 4  # removed by posterisation
MAGNITUDES = 30  # the magnitude at which the strength is 1


def sharpen(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with a smoothed image, away from it if `strength` (N,) is positive; border pixels stay."""
    kernel = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], device=images.device) / 13
    channels = images.shape[1]
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    return torch.lerp(smooth, images, _factor(strength).view(-1, 1, 1, 1)).clamp_(0, 1)


def posterise(images: Tensor, strength: Tensor) -> Tensor:
    """Keep only the highest 8 to 4 bits of each byte."""
    step = 2.0 ** (BITS * strength.abs()).round().view(-1, 1, 1, 1)
    return (_bytes(images) / step).floor() * step / 255


def solarise(images: Tensor, strength: Tensor) -> Tensor:
    """Invert what is at least as bright as 1 - |strength|."""
    return torch.where(images >= 1 - strength.abs().view(-1, 1, 1, 1), 1 - images, images)


def autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Spread the values of each channel over 0..1; a channel of one value stays. `strength` is ignored."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-9), images)


def equalise(images: Tensor, strength: Tensor) -> Tensor:
    """Flatten the histogram of each channel, as Pillow does for bytes. `strength` is ignored."""
    values = _bytes(images).long().flatten(2)
    counts = values.new_zeros(*values.shape[:2], 256).scatter_add_(2, values, torch.ones_like(values))
    highest = counts.gather(2, values.amax(dim=2, keepdim=True))
    step = (values.shape[2] - highest) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return (table.gather(2, values).float() / 255).view(images.shape)


def _factor(strength: Tensor) -> Tensor:
    return 1 + ENHANCE * strength


def _bytes(images: Tensor) -> Tensor:
    """0..1 -> whole numbers of 0..255; k / 255 becomes k, what rounding took outside becomes 0 or 255."""
    return (images * 255.999).floor().clamp_(0, 255)


MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLOURS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda images, strength: adjust_brightness(images, _factor(strength)),
    "saturation": lambda images, strength: adjust_saturation(images, _factor(strength)),
    "contrast": lambda images, strength: adjust_contrast(images, _factor(strength)),
    "sharpness": sharpen,
    "posterise": posterise,
    "solarise": solarise,
    "autocontrast": autocontrast,
    "equalise": equalise,
}
OPERATIONS = ("identity", *MOVES, *COLOURS)


def move(images: Tensor, which: Tensor, strength: Tensor) -> Tensor:
    """Shear, shift or rotate each image in one resampling; pixels from outside are black.

    `which` has (N,) indices into `OPERATIONS`, all of `MOVES`.
    """
    height, width = images.shape[2:]
    shear_x, shear_y, shift_x, shift_y, rotation = (
        strength * (which == OPERATIONS.index(name)) for name in MOVES
    )
    angle = torch.deg2rad(DEGREES * rotation)
    cos, sin = angle.cos(), angle.sin()
    # Where a pixel comes from, in pixels around the centre; shears leave the upper left corner in place.
    across, down = SHEAR * shear_x, SHEAR * shear_y
    from_x = [cos, across - sin, across * height / 2 - (SHIFT * width * shift_x).trunc()]
    from_y = [down + sin, cos, down * width / 2 - (SHIFT * height * shift_y).trunc()]
    # In grid_sample's units half an image is 1.
    scale = torch.tensor([[1, height / width, 2 / width], [width / height, 1, 2 / height]])
    theta = torch.stack([torch.stack(row, dim=1) for row in (from_x, from_y)], dim=1) * scale.to(strength)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def apply(images: Tensor, which: Tensor, strength: Tensor) -> Tensor:
    """Apply one operation to each image (3, H, W) in 0..1, given by its index in `OPERATIONS`.

    Strengths are (N,) in -1..1; operations without a direction ignore the sign.
    """
    images = images.clone()
    moved = ((which >= 1) & (which <= len(MOVES))).nonzero().squeeze(1)
    if len(moved):
        images[moved] = move(images[moved], which[moved], strength[moved])
    for name, operation in COLOURS.items():
        chosen = (which == OPERATIONS.index(name)).nonzero().squeeze(1)
        if len(chosen):
            images[chosen] = operation(images[chosen], strength[chosen])
    return images


def rand_augment(images: Tensor, *, operations: int, magnitude: float, generator: torch.Generator) -> Tensor:
    """Apply random operations to each image (3, H, W) float in 0..1, one after the other.

    `operations` are drawn from all 14, including the identity; `magnitude` is their strength, from 0 to 30,
    with random directions.
    """
    shape = (operations, len(images))
    device = images.device
    which = torch.randint(len(OPERATIONS), shape, generator=generator, device=device)
    negative = torch.rand(shape, generator=generator, device=device) < 0.5
    strengths = torch.where(negative, -1.0, 1.0) * (magnitude / MAGNITUDES)
    for number in range(operations):
        images = apply(images, which[number], strengths[number])
    return images
