"""The contrastive loss of SimCLR, for any number of views."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z: Tensor, temperature: float, *, views: int = 2, decoupled: bool = False) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR, equation 1), a float32 scalar.

    For a positive pair (i, j), two views of one image, with cosine similarities s and temperature t:

        l(i, j) = -log( exp(s_ij / t) / (exp(s_ij / t) + sum_k exp(s_ik / t)) )

    where k runs over the views of all other images. The loss is the mean over all positive pairs (the report
    sums over views). If all projections are equal it is log(views * (N - 1) + 1).

    Args:
        z: (views * N, d) projections; row v * N + i is view v of image i.
        decoupled: leave the positive pair out of the denominator (Yeh et al. 2022, Decoupled Contrastive
            Learning, equation 6), so that gradients do not vanish where pairs are already close.
    """
    z = F.normalize(z.float(), dim=1)
    with torch.autocast(z.device.type, enabled=False):  # it would round the similarities to bfloat16
        similarity = z @ z.T / temperature
    image = torch.arange(len(z), device=z.device) % (len(z) // views)
    same = image.unsqueeze(1) == image.unsqueeze(0)
    negatives = similarity.masked_fill(same, float("-inf")).logsumexp(dim=1, keepdim=True)
    row = torch.arange(len(z), device=z.device).unsqueeze(1)
    partners = (row + len(z) // views * torch.arange(1, views, device=z.device)) % len(z)
    positive = similarity.gather(1, partners)
    denominator = negatives if decoupled else torch.logaddexp(negatives, positive)
    return (denominator - positive).mean()
