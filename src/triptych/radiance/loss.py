"""The training loss of a radiance field: Huber loss on colours, and the distortion loss against floaters.

Both sides are composited over the same background first, which may be a random colour for each ray.
"""

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.composite import exclusive_sum

# Colours differ by 1 at most (exposures aside), so this is half the squared error.
HUBER_DELTA = 1.0


def radiance_loss(
    predicted: Tensor, target: Tensor, distortion: Tensor, *, distortion_weight: float
) -> Tensor:
    """The loss of a batch of rays, a scalar.

    Args:
        predicted: (rays, 3) rendered sRGB colours over the background.
        target: (rays, 3) the photographs' colours over the same background.
        distortion: (rays,), from `distortion_loss`.
        distortion_weight: weight of its mean; 0 leaves it out.
    """
    loss = functional.huber_loss(predicted, target, delta=HUBER_DELTA)
    return loss + distortion_weight * distortion.mean() if distortion_weight else loss


def distortion_loss(weight: Tensor, distance: Tensor, step: Tensor, ray: Tensor, rays: int) -> Tensor:
    """Spread of each ray's weights, (rays,): small for a single thin surface, large for floaters before it.

    The sum over all pairs of samples of w_i w_j |t_i - t_j|, plus that of w_i² step_i / 3 (Barron et al.
    2022, Mip-NeRF 360, equation 15), with distances in unit cubes.

    Args:
        weight, distance, step: (n,) compositing weight, distance and step length of each sample.
        ray: (n,) int64 ascending ray of each sample.
        rays: number of rays.
    """
    gaps = distance * exclusive_sum(weight, ray) - exclusive_sum(weight * distance, ray)
    spread = 2 * weight * gaps.to(weight.dtype) + weight * weight * step / 3
    return spread.new_zeros(rays).index_add(0, ray, spread)


def background_colours(kind: str, count: int, generator: torch.Generator) -> Tensor:
    """Background colours (count, 3), on the generator's device: `random`, `white` or `black`.

    With a new random colour for every ray, a field cannot hide holes behind its colours: it
    must be opaque where the image is opaque, and transparent where the image is.
    """
    if kind == "random":
        return torch.rand(count, 3, generator=generator, device=generator.device)
    return torch.full((count, 3), 1.0 if kind == "white" else 0.0, device=generator.device)
