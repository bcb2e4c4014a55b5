"""The training loss of a radiance field: Huber loss on colours, and the distortion loss against floaters.

`RadianceModel.loss` first composites rendering and photograph over the same background, which may be a random
colour per ray.
"""

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.composite import exclusive_sum

# Up to this error the loss is half the squared error, beyond it linear. Colours in [0, 1] never differ by
# more; only a learned exposure can scale a colour above 1, and then the gradient stays bounded.
HUBER_DELTA = 1.0


def radiance_loss(
    predicted: Tensor, target: Tensor, distortion: Tensor, *, distortion_weight: float
) -> Tensor:
    """The loss of a batch of rays, a scalar.

    Colours, rendered and photographed, are (rays, 3) sRGB over the same background; `distortion` is (rays,),
    from `distortion_loss`. With a weight of 0 it is not added; the tracer computes it all the same.
    """
    loss = functional.huber_loss(predicted, target, delta=HUBER_DELTA)
    return loss + distortion_weight * distortion.mean() if distortion_weight else loss


def distortion_loss(
    weight: Tensor, distance: Tensor, step_length: Tensor, ray_index: Tensor, num_rays: int
) -> Tensor:
    """Spread of each ray's weights (rays,): small for a thin surface, large with floaters in front of it.

        sum_ij w_i w_j |t_i - t_j| + 1/3 sum_i w_i² step_i

    with weights w, distances t and step lengths (Barron et al. 2022, Mip-NeRF 360, equation 15), (n,) each.
    Samples of a ray are sorted by distance, so prefix sums replace the sum over pairs.
    """
    gaps = distance * exclusive_sum(weight, ray_index) - exclusive_sum(weight * distance, ray_index)
    spread = 2 * weight * gaps.to(weight.dtype) + weight * weight * step_length / 3
    return spread.new_zeros(num_rays).index_add(0, ray_index, spread)


def background_colours(kind: str, count: int, generator: torch.Generator) -> Tensor:
    """Background colours (count, 3), on the generator's device: `random`, `white` or `black`.

    With a new random colour for every ray, a hole in the field shows the wrong colour: the field
    must be as opaque as the image, pixel by pixel.
    """
    if kind == "random":
        return torch.rand(count, 3, generator=generator, device=generator.device)
    return torch.full((count, 3), 1.0 if kind == "white" else 0.0, device=generator.device)
