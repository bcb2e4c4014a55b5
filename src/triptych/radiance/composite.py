"""Volume rendering along packed samples (Max 1995; Mildenhall et al. 2020, equation 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor


def sum_before(values: Tensor, ray: Tensor) -> Tensor:
    """For each sample, the sum over the samples of its ray that lie before it, in float64.

    The sum over a ray is a difference of one running sum over all samples: exact where it
    matters, free of loops, and the same whatever the number of threads.

    Args:
        values: (n,).
        ray: (n,) int64 ascending ray of each sample.
    """
    if len(ray) == 0:
        return values.double()
    before = values.double().cumsum(0) - values
    new_ray = torch.ones_like(ray, dtype=torch.bool)
    new_ray[1:] = ray[1:] != ray[:-1]
    starts = new_ray.nonzero()[:, 0]
    return before - before[starts][new_ray.cumsum(0) - 1]


def transmittance(optical_depth: Tensor, ray: Tensor) -> Tensor:
    """Share of light that reaches each sample from the camera: exp(-sum of what lies before).

    Args:
        optical_depth: (n,) density times step, at least 0.
        ray: (n,) int64 ascending ray of each sample.

    Returns:
        (n,) in (0, 1], of the type of `optical_depth`.
    """
    return torch.exp(-sum_before(optical_depth, ray)).to(optical_depth.dtype)


def distortion(weight: Tensor, distance: Tensor, step: Tensor, ray: Tensor, rays: int) -> Tensor:
    """How far each ray's weight is spread, (rays,): small for one thin surface, large for floaters before it.

    The sum over all pairs of samples of w_i w_j |t_i - t_j|, and of w_i² step_i / 3 (Barron et al.
    2022, Mip-NeRF 360, equation 15, in distances in unit cubes).
    """
    apart = distance * sum_before(weight, ray) - sum_before(weight * distance, ray)
    spread = 2 * weight * apart.to(weight.dtype) + weight * weight * step / 3
    return spread.new_zeros(rays).index_add(0, ray, spread)


@dataclass(frozen=True)
class Rendered:
    """What rays see.

    Attributes:
        colour: (rays, 3), not yet over a background.
        opacity: (rays,) in [0, 1].
        depth: (rays,) opacity-weighted sum of distances; divide by opacity for a mean distance.
    """

    colour: Tensor
    opacity: Tensor
    depth: Tensor

    def over(self, background: Tensor) -> Tensor:
        """Colour (rays, 3) with what passes through showing `background` (3,) or (rays, 3)."""
        return self.colour + (1 - self.opacity)[:, None] * background


def composite(
    density: Tensor, colour: Tensor, distance: Tensor, step: Tensor, ray: Tensor, rays: int
) -> tuple[Rendered, Tensor]:
    """Alpha-composite packed samples.

    Args:
        density: (n,) per unit length.
        colour: (n, 3).
        distance: (n,) from the ray's origin.
        step: (n,) length that each sample stands for.
        ray: (n,) int64 ascending.
        rays: number of rays; those without samples come out empty.

    Returns:
        What each ray sees, and the weight (n,) of each sample in it.
    """
    optical_depth = density * step
    weight = -transmittance(optical_depth, ray) * torch.expm1(-optical_depth)
    return accumulate(weight, colour, distance, ray, rays), weight


def accumulate(weight: Tensor, colour: Tensor, distance: Tensor, ray: Tensor, rays: int) -> Rendered:
    """Sum weighted samples by ray; one-dimensional sums are the fast ones on a CPU."""

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(rays).index_add(0, ray, values)

    channels = [total(weight * colour[:, channel]) for channel in range(3)]
    return Rendered(torch.stack(channels, dim=-1), total(weight), total(weight * distance))
