"""Volume rendering along packed samples (Max 1995; Mildenhall et al. 2020, equation 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


def exclusive_sum(values: Tensor, ray_index: Tensor) -> Tensor:
    """For each sample, the sum of the values (n,) before it on its ray, in float64.

    It is a difference of one cumulative sum over all samples: precise enough in float64, without loops, and
    independent of the number of threads. The rays of the samples (n,) int64 ascend.
    """
    if len(ray_index) == 0:
        return values.double()
    before = values.double().cumsum(0) - values
    new_ray = torch.ones_like(ray_index, dtype=torch.bool)
    new_ray[1:] = ray_index[1:] != ray_index[:-1]
    starts = new_ray.nonzero()[:, 0]
    return before - before[starts][new_ray.cumsum(0) - 1]


def transmittance(optical_depth: Tensor, ray_index: Tensor) -> Tensor:
    """Fraction of light that passes from each sample to the camera: exp(-optical depth before the sample).

    The optical depth (n,) is density times step length, at least 0; the result has its type.
    """
    return torch.exp(-exclusive_sum(optical_depth, ray_index)).to(optical_depth.dtype)


@dataclass(frozen=True)
class RenderedRays:
    """Rays with their colours."""

    colour: Tensor  # (rays, 3) premultiplied sRGB, without a background
    opacity: Tensor  # (rays,) in [0, 1]
    depth: Tensor  # (rays,) opacity-weighted sum of distances; divide by opacity for a mean distance

    @classmethod
    def concatenate(cls, batches: Sequence["RenderedRays"]) -> "RenderedRays":
        """The rays of all batches, in order."""
        return cls(*(torch.cat([getattr(batch, field.name) for batch in batches]) for field in fields(cls)))

    def over(self, background: Tensor) -> Tensor:
        """Colour (rays, 3) composited over `background`, (3,) or (rays, 3)."""
        return self.colour + (1 - self.opacity)[:, None] * background


def composite(
    density: Tensor, colour: Tensor, distance: Tensor, step_length: Tensor, ray_index: Tensor, num_rays: int
) -> tuple[RenderedRays, Tensor]:
    """Alpha-composite packed samples.

    Args:
        density: (n,) per unit length.
        colour, distance: (n, 3), and (n,) from the ray's origin.
        step_length: (n,) length of the step that each sample stands for, in unit cubes.
        ray_index: (n,) int64, ascending: the ray of each sample; rays without samples come out empty.

    Returns:
        The rendered rays, and the weight (n,) of each sample in its ray.
    """
    optical_depth = density * step_length
    weight = -transmittance(optical_depth, ray_index) * torch.expm1(-optical_depth)
    return accumulate(weight, colour, distance, ray_index, num_rays), weight


def accumulate(
    weight: Tensor, colour: Tensor, distance: Tensor, ray_index: Tensor, num_rays: int
) -> RenderedRays:
    """Sum weighted samples by ray, channel by channel: a CPU is faster at one-dimensional `index_add`."""

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(num_rays).index_add(0, ray_index, values)

    channels = [total(weight * colour[:, channel]) for channel in range(3)]
    return RenderedRays(torch.stack(channels, dim=-1), total(weight), total(weight * distance))


def over(values: Tensor, background: Tensor) -> Tensor:
    """Alpha-composite (…, 3 or 4) sRGB values over a background colour; values without alpha are opaque."""
    if values.shape[-1] == 3:
        return values
    alpha = values[..., 3:]
    return values[..., :3] * alpha + background * (1 - alpha)
