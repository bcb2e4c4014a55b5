"""Crops, flips, rotations and blur of a batch, with parameters drawn per sample."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def resize_matrix(start: Tensor, length: Tensor, size_in: int, size_out: int) -> Tensor:
    """Weights that crop [start, start + length) of a line and resize it with the triangle filter.

    This is Pillow's bilinear resampling: the filter widens when it shrinks an image, and
    pixels outside the crop have no say.

    Args:
        start: (N,) first pixel of each crop.
        length: (N,) pixels of each crop.
        size_in: pixels of the line.
        size_out: pixels wanted.

    Returns:
        (N, size_out, size_in) rows that sum to one.
    """
    scale = (length / size_out).view(-1, 1, 1)
    centre = (torch.arange(size_out, device=start.device) + 0.5).view(1, -1, 1) * scale + start.view(-1, 1, 1)
    pixel = torch.arange(size_in, device=start.device).view(1, 1, -1)
    weight = (1 - (pixel + 0.5 - centre).abs() / scale.clamp(min=1)).clamp_(min=0)
    inside = (pixel >= start.view(-1, 1, 1)) & (pixel < (start + length).view(-1, 1, 1))
    weight = weight * inside
    return weight / weight.sum(dim=2, keepdim=True)


def draw_crops(
    n: int,
    height: int,
    width: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes of torchvision's RandomResizedCrop: area uniform in `scale`, log-uniform aspect `ratio`.

    Ten tries per image; an image whose tries all miss keeps its whole picture (which is what
    torchvision's central fallback gives for square images).

    Returns:
        top, left, crop height, crop width: (N,) float tensors of whole numbers.
    """
    device = generator.device
    tries = 10
    area = height * width * _uniform(n * tries, *scale, generator).view(n, tries)
    aspect = _uniform(n * tries, math.log(ratio[0]), math.log(ratio[1]), generator).exp_().view(n, tries)
    w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.float().argmax(dim=1, keepdim=True)
    found = fits.any(dim=1)
    w = torch.where(found, w.gather(1, first).squeeze(1), torch.full((n,), float(width), device=device))
    h = torch.where(found, h.gather(1, first).squeeze(1), torch.full((n,), float(height), device=device))
    top = ((height - h + 1) * torch.rand(n, generator=generator, device=device)).floor()
    left = ((width - w + 1) * torch.rand(n, generator=generator, device=device)).floor()
    return top, left, h, w


def random_resized_crop_flip(
    images: Tensor,
    *,
    size: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: float = 0.5,
    generator: torch.Generator,
) -> Tensor:
    """Crop, resize to `size` and mirror, as two small matrix products per image.

    (N, C, H, W) float -> (N, C, size, size).
    """
    n, _, height, width = images.shape
    top, left, h, w = draw_crops(n, height, width, scale=scale, ratio=ratio, generator=generator)
    rows = resize_matrix(top, h, height, size)
    columns = resize_matrix(left, w, width, size)
    mirrored = torch.rand(n, generator=generator, device=images.device) < flip
    columns = torch.where(mirrored.view(-1, 1, 1), columns.flip(1), columns)
    return rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1)


def random_shift_flip_rotate(
    images: Tensor, *, padding: int, flip: float, degrees: float, generator: torch.Generator
) -> Tensor:
    """Random crop from a zero-padded image, mirror and rotation, as one resampling.

    Without rotation the pixels are exact copies (shifts are whole pixels); with it they are
    interpolated bilinearly, and what comes from outside is zero.

    Args:
        images: (N, C, H, W) float.
        padding: largest shift in pixels, in both directions.
        flip: probability of a mirror image.
        degrees: largest rotation, either way.
        generator: source of the random numbers, on the device of the images.
    """
    n, _, height, width = images.shape
    device = images.device
    shift = torch.randint(-padding, padding + 1, (2, n), generator=generator, device=device).float()
    sign = torch.where(torch.rand(n, generator=generator, device=device) < flip, -1.0, 1.0)
    angle = torch.deg2rad(_uniform(n, -degrees, degrees, generator))
    cos, sin = angle.cos(), angle.sin()
    # Rows of the inverse map, output to input, in grid_sample's units (half an image is 1).
    theta = torch.stack(
        [
            torch.stack([sign * cos, -sign * sin * height / width, 2 * shift[0] / width], dim=1),
            torch.stack([sin * width / height, cos, 2 * shift[1] / height], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    mode = "bilinear" if degrees else "nearest"
    return F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)


def gaussian_blur(
    images: Tensor, *, sigma: tuple[float, float], probability: float, generator: torch.Generator
) -> Tensor:
    """Blur a share of the images, sigma (pixels) uniform per sample (SimCLR, appendix A).

    The kernel is a tenth of the image wide, made odd, with reflected borders.
    """
    n, channels, height, width = images.shape
    radius = max(1, round(0.1 * height) // 2)
    widths = _uniform(n, *sigma, generator)
    blurred = torch.rand(n, generator=generator, device=images.device) < probability
    offset = torch.arange(-radius, radius + 1, device=images.device).float()
    kernel = torch.exp(-0.5 * (offset / widths.unsqueeze(1)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    identity = (offset == 0).float().expand_as(kernel)
    kernel = torch.where(blurred.unsqueeze(1), kernel, identity)
    # Images as channels of one grouped convolution: a kernel for each.
    kernel = kernel.repeat_interleave(channels, dim=0)
    flat = F.pad(images, (radius,) * 4, mode="reflect").reshape(
        1, n * channels, height + 2 * radius, width + 2 * radius
    )
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=n * channels)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=n * channels)
    return flat.reshape(n, channels, height, width)
