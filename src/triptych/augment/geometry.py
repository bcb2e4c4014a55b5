"""Crops, flips, rotations and blur of a batch, with parameters drawn per sample."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 64  # pixels: larger images are cropped and resized in training, smaller ones shifted
CROP_SCALE = (0.25, 1.0)  # range of a crop's share of the image


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def resize_matrix(start: Tensor, length: Tensor, size_in: int, size_out: int) -> Tensor:
    """Weights that crop [start, start + length) of a line and resize it with the triangle filter.

    This is Pillow's bilinear resampling: the filter widens when it shrinks an image, and pixels outside the
    crop do not contribute. First pixels and lengths of the crops are (N,); the result is (N, size_out,
    size_in), with rows that sum to one.
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
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator,
) -> Tensor:
    """Boxes (N, 4) of torchvision's RandomResizedCrop: area uniform in `scale`, log-uniform aspect `ratio`.

    Top, left, height, width, int64. Ten tries per image; one whose tries all miss gets the largest central
    box.
    """
    device = generator.device
    tries = 10
    area = height * width * _uniform(n * tries, *scale, generator).view(n, tries)
    aspect = _uniform(n * tries, math.log(ratio[0]), math.log(ratio[1]), generator).exp_().view(n, tries)
    tall, wide = (area / aspect).sqrt_().round_().long(), (area * aspect).sqrt_().round_().long()
    fits = (tall >= 1) & (tall <= height) & (wide >= 1) & (wide <= width)
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
    tall, wide = tall.gather(1, first).squeeze(1), wide.gather(1, first).squeeze(1)
    place = torch.rand(2, n, generator=generator, device=device)
    # A product with a number just below 1 may round up to the next whole one.
    top = torch.minimum((place[0] * (height - tall + 1)).long(), height - tall)
    left = torch.minimum((place[1] * (width - wide + 1)).long(), width - wide)
    box = torch.stack([top, left, tall, wide], dim=1)
    smallest, largest = ratio
    whole = (min(height, round(width / smallest)), min(width, round(height * largest)))
    central = ((height - whole[0]) // 2, (width - whole[1]) // 2, *whole)
    return torch.where(fits.any(dim=1, keepdim=True), box, torch.tensor(central, device=device))


def crop_resize_flip(images: Tensor, boxes: Tensor, mirrored: Tensor, size: int) -> Tensor:
    """Crop, resize and flip images (N, C, H, W), as two small matrix products per image: (N, C, size, size).

    Boxes are (N, 4) int64, top, left, height, width; `mirrored` is (N,) bool.
    """
    top, left, tall, wide = boxes.unbind(1)
    rows = resize_matrix(top, tall, images.shape[2], size)
    columns = resize_matrix(left, wide, images.shape[3], size)
    columns = torch.where(mirrored.view(-1, 1, 1), columns.flip(1), columns)
    return rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1)


def inside_boxes(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which rows (N, height) and columns (N, width) of an image lie in a box; both for a pixel inside.

    Boxes are (N, 4) int64, top, left, height, width, and may extend beyond the border.
    """
    top, left, tall, wide = boxes.unsqueeze(2).unbind(1)
    rows, columns = torch.arange(height, device=boxes.device), torch.arange(width, device=boxes.device)
    return (rows >= top) & (rows < top + tall), (columns >= left) & (columns < left + wide)


def random_shift_flip_rotate(
    images: Tensor, *, padding: int, flip: float, degrees: float, generator: torch.Generator
) -> Tensor:
    """Random crop from zero-padded images (N, C, H, W), horizontal flip and rotation, as one resampling.

    Without rotation the pixels are exact copies (shifts are whole pixels); with it they are interpolated
    bilinearly, and pixels from outside are zero. `padding` is the largest shift in pixels and `degrees` the
    largest rotation, in both directions.
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


def random_crop_flip_rotate(
    images: Tensor, *, size: int, flip: float, degrees: float, generator: torch.Generator
) -> Tensor:
    """Random crop resized to `size` pixels, horizontal flip and rotation, as one bilinear resampling.

    The crop covers a quarter of the image or more, see `draw_crops`; it turns about its own centre, and
    pixels from outside the image are zero. Arguments are those of `random_shift_flip_rotate`.
    """
    n, channels, height, width = images.shape
    boxes = draw_crops(n, height, width, scale=CROP_SCALE, generator=generator)
    top, left, tall, wide = boxes.float().unbind(1)
    sign = torch.where(torch.rand(n, generator=generator, device=images.device) < flip, -1.0, 1.0)
    angle = torch.deg2rad(_uniform(n, -degrees, degrees, generator))
    cos, sin = angle.cos(), angle.sin()
    # From the result to the image, both from -1 to 1.
    theta = torch.stack(
        [
            torch.stack([sign * cos, -sign * sin, (2 * left + wide - width) / wide], 1)
            * (wide / width)[:, None],
            torch.stack([sin, cos, (2 * top + tall - height) / tall], 1) * (tall / height)[:, None],
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [n, channels, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def random_geometry(
    images: Tensor,
    *,
    padding: int,
    flip: float,
    degrees: float,
    size: int | None = None,
    generator: torch.Generator,
) -> Tensor:
    """The base of all augmentations, (N, C, H, W) to (N, C, size, size); `size` None: that of the images.

    Images of up to `SMALL` pixels are shifted, by at most `padding`; larger ones are cropped and resized.
    Only those may be larger than `size`. Other arguments are those of `random_shift_flip_rotate`.
    """
    size = size or images.shape[-1]
    if size <= SMALL:
        return random_shift_flip_rotate(
            images, padding=padding, flip=flip, degrees=degrees, generator=generator
        )
    return random_crop_flip_rotate(images, size=size, flip=flip, degrees=degrees, generator=generator)


def blur_weights(sigma: Tensor, size: int) -> Tensor:
    """Gaussian weights for images of `size` pixels; the kernel is a tenth of the image wide, made odd.

    (N,) standard deviations in pixels -> (N, 2 * radius + 1) rows that sum to one. A sigma of 0
    leaves an image as it is.
    """
    radius = max(1, round(0.1 * size) // 2)
    offset = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offset / sigma.clamp(min=1e-3).unsqueeze(1)) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def blur(images: Tensor, weights: Tensor) -> Tensor:
    """Separable convolution of each image with its own (N, 2 * radius + 1) kernel, with reflected borders."""
    n, channels, height, width = images.shape
    radius = weights.shape[1] // 2
    # All images as channels of one grouped convolution, each with its own kernel.
    weights = weights.repeat_interleave(channels, dim=0)
    flat = F.pad(images, (radius,) * 4, mode="reflect").reshape(
        1, n * channels, height + 2 * radius, width + 2 * radius
    )
    flat = F.conv2d(flat, weights[:, None, :, None], groups=n * channels)
    flat = F.conv2d(flat, weights[:, None, None, :], groups=n * channels)
    return flat.reshape(n, channels, height, width)
