"""Random views of images for contrastive learning (SimCLR, Chen et al. 2020, appendix A).

A view is a random crop, resized, perhaps flipped, with jittered colours, perhaps grey, perhaps blurred.
All random parameters are drawn first and then applied.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from triptych.augment.color import draw_jitter, jitter, remove_color
from triptych.augment.geometry import blur, blur_weights, crop_resize_flip, draw_crops

FLIP = 0.5  # probability
BLUR = (0.1, 2.0)  # range of the standard deviation in pixels


@dataclass(frozen=True)
class Parameters:
    """The random parameters of N views."""

    boxes: Tensor  # (N, 4) int64, the crops: top, left, height, width
    mirrored: Tensor  # (N,) bool
    jittered: Tensor  # (N,) bool
    factors: Tensor  # (N, 4) float32, strengths of brightness, contrast, saturation and hue
    order: Tensor  # (N, 4) int64, the order in which these four are applied
    grey: Tensor  # (N,) bool
    sigma: Tensor  # (N,) float32, standard deviation of the blur in pixels of the view; 0 for none


def draw_parameters(
    n: int, height: int, width: int, views: Mapping[str, Any], generator: torch.Generator
) -> Parameters:
    """Draw the parameters of N views on the generator's device; `views` as for `draw_views`."""
    low, high = views["crop_scale"]
    brightness, contrast, saturation, hue = views["jitter"]
    boxes = draw_crops(n, height, width, scale=(low, high), generator=generator)
    factors, order = draw_jitter(n, strength=(brightness, contrast, saturation, hue), generator=generator)
    mirror, jittered, grey, blurred, width_of_blur = torch.rand(
        5, n, generator=generator, device=generator.device
    )
    return Parameters(
        boxes=boxes,
        mirrored=mirror < FLIP,
        jittered=jittered < views["jitter_probability"],
        factors=factors,
        order=order,
        grey=grey < views["grayscale_probability"],
        sigma=(BLUR[0] + (BLUR[1] - BLUR[0]) * width_of_blur) * (blurred < views["blur_probability"]),
    )


def render_views(
    images: Tensor, parameters: Parameters, *, size: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """The views that `parameters` describe; arguments and result as for `draw_views`."""
    pixels = images.float().div_(255).repeat(len(parameters.boxes) // len(images), 1, 1, 1)
    pixels = crop_resize_flip(pixels, parameters.boxes, parameters.mirrored, size)
    pixels = jitter(pixels, parameters.factors, parameters.order, parameters.jittered)
    pixels = remove_color(pixels, parameters.grey)
    if parameters.sigma.any():
        pixels = blur(pixels, blur_weights(parameters.sigma, size))
    centre, scale = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (mean, std))
    return ((pixels - centre) / scale).contiguous(memory_format=torch.channels_last)


def draw_views(
    images: Tensor,
    views: Mapping[str, Any],
    *,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
    count: int = 1,
    render: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Random views of each image, normalised: (count * B, 3, size, size) float32, channels_last.

    Row v * B + i is view v of image i. Raises `TypeError` if the images are not uint8.

    Args:
        images: (B, 3, H, W) uint8; channels_last saves a copy.
        views: `crop_scale` (range of the area's share), `jitter` (strengths of brightness, contrast,
            saturation, hue), `jitter_probability`, `grayscale_probability`, `blur_probability`.
        mean, std: channel means and standard deviations, for pixels in 0..1.
        render: another implementation of `render_views`, such as a compiled one.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, not {images.dtype}")
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        parameters = draw_parameters(count * len(images), images.shape[2], images.shape[3], views, generator)
        return (render or render_views)(images, parameters, size=size, mean=mean, std=std)
