"""Stochastic depth: Huang et al., Deep Networks with Stochastic Depth, 2016."""

import torch
from torch import Tensor, nn

from triptych.workflow.errors import TriptychError


class StochasticDepth(nn.Module):
    """Decide which images' residual branch is left out in training, each by itself.

    Branches that stay are scaled up, so that their mean is what evaluation computes. Draws from the
    global generator, as dropout does.

    Args:
        probability: of leaving out, below 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor | None:
        """(N, ...) -> (N,) float32: what each image's branch is multiplied with; None for 1."""
        if not self.training or self.probability == 0:
            return None
        stays = torch.rand(len(branch), device=branch.device) >= self.probability
        return stays / (1 - self.probability)


def linear_depths(probability: float, depth: int) -> list[float]:
    """The probability of each of `depth` blocks: linear in its place, `probability` at the last one.

    Raises:
        TriptychError: the probability is not in [0, 1).
    """
    if not 0 <= probability < 1:
        raise TriptychError(f"stochastic_depth is {probability}; it must be at least 0 and below 1")
    return [probability * block / depth for block in range(1, depth + 1)]
