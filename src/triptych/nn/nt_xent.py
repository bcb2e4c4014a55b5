"""The contrastive loss of SimCLR."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy over 2N views (SimCLR, equation 1).

    Each view must pick its partner among the 2N - 1 others by cosine similarity.
    The report sums over views; this is the mean, so that the value does not scale with N.

    Args:
        z: (2N, d) projections; rows i and i + N are the two views of image i.
        temperature: the softmax temperature.

    Returns:
        Scalar float32 loss; log(2N - 1) if the projections carry no information.
    """
    views = len(z)
    z = F.normalize(z.float(), dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    partner = torch.arange(views, device=z.device).roll(views // 2)
    return F.cross_entropy(similarity, partner)
