"""The contrastive loss of SimCLR, for any number of views."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z: Tensor, temperature: float, *, views: int = 2, decoupled: bool = False) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR, equation 1).

    Each view must pick a view of the same image among itself and all views of other images, by
    cosine similarity; with more than two views, each of its partners in turn. The report sums over
    views; this is the mean, so that the value does not scale with N.

    Args:
        z: (views * N, d) projections; row v * N + i is view v of image i.
        temperature: the softmax temperature.
        views: of each image.
        decoupled: leave the partner out of the candidates (Yeh et al. 2022, Decoupled Contrastive
            Learning, equation 6): gradients then do not fade where pairs are already close.

    Returns:
        Scalar float32 loss. If the projections carry no information it is
        log(views * (N - 1) + 1), or log(views * (N - 1)) decoupled.
    """
    z = F.normalize(z.float(), dim=1)
    with torch.autocast(z.device.type, enabled=False):  # it would round the similarities to bfloat16
        similarity = z @ z.T / temperature
    image = torch.arange(len(z), device=z.device) % (len(z) // views)
    same = image.unsqueeze(1) == image.unsqueeze(0)
    others = similarity.masked_fill(same, float("-inf")).logsumexp(dim=1, keepdim=True)
    row = torch.arange(len(z), device=z.device).unsqueeze(1)
    partners = (row + len(z) // views * torch.arange(1, views, device=z.device)) % len(z)
    positive = similarity.gather(1, partners)
    candidates = others if decoupled else torch.logaddexp(others, positive)
    return (candidates - positive).mean()
