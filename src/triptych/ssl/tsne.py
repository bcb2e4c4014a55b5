"""Exact t-SNE: a two-dimensional map of a few thousand points that preserves neighbourhoods.

As in "Visualizing Data using t-SNE" (van der Maaten and Hinton 2008), started from the principal
components, which makes it deterministic and keeps the map's large-scale order ("The art of using t-SNE
for single-cell transcriptomics", Kobak and Berens 2019). All pairs are computed: N^2 numbers per step.
"""

import math

import torch
from torch import Tensor

EXAGGERATION, EXAGGERATED_STEPS = 12.0, 250  # factor of the affinities in the first steps


def neighbour_probabilities(features: Tensor, perplexity: float) -> Tensor:
    """Symmetric affinities of all pairs, (N, N), with sum 1 and an empty diagonal.

    The width of each point's Gaussian is such that its distribution over the others has the entropy of
    `perplexity` equal neighbours; it is found by bisection, for all points at once.
    """
    distances = torch.cdist(features, features).square()
    distances /= distances.mean().clamp_min(1e-12)  # the bracket below then holds at any scale
    count = len(features)
    diagonal = torch.eye(count, dtype=torch.bool)
    low, high = torch.full((count, 1), -30.0), torch.full((count, 1), 30.0)  # log precision
    target = math.log(min(perplexity, (count - 1) / 3))
    for _ in range(30):
        middle = (low + high) / 2
        logits = (-distances * middle.exp()).masked_fill(diagonal, -math.inf)
        probabilities = logits.softmax(dim=1)
        entropy = -torch.xlogy(probabilities, probabilities).sum(dim=1, keepdim=True)
        low, high = torch.where(entropy > target, middle, low), torch.where(entropy > target, high, middle)
    return (probabilities + probabilities.T) / (2 * count)


def principal_components(features: Tensor, count: int = 2) -> Tensor:
    """(N, D) features on their first axes, (N, count); each sign such that its largest entry is positive."""
    centred = features - features.mean(dim=0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    found = left[:, :count] * values[:count]
    return found * found.gather(0, found.abs().argmax(dim=0, keepdim=True)).sign()


def _kernel(embedding: Tensor) -> Tensor:
    """Student's t kernel of all pairs of an (N, 2) embedding, with an empty diagonal."""
    norms = embedding.square().sum(dim=1)
    distances = torch.addmm(norms + norms[:, None], embedding, embedding.T, alpha=-2).clamp_min_(0)
    return distances.add_(1).reciprocal_().fill_diagonal_(0)


def kl_divergence(embedding: Tensor, affinities: Tensor) -> Tensor:
    """The objective of t-SNE: the divergence from the affinities of the pairs to their normalised kernel."""
    kernel = _kernel(embedding)
    similarities = (kernel / kernel.sum()).clamp_min(1e-12)
    return (torch.xlogy(affinities, affinities) - affinities * similarities.log()).sum()


def kl_gradient(embedding: Tensor, affinities: Tensor, exaggeration: float = 1.0) -> Tensor:
    """Gradient of `kl_divergence` by the (N, 2) embedding; `exaggeration` multiplies the affinities."""
    kernel = _kernel(embedding)
    pull = torch.add(affinities * exaggeration, kernel, alpha=-1 / kernel.sum().item()).mul_(kernel)
    return 4 * (pull.sum(dim=1, keepdim=True) * embedding - pull @ embedding)


@torch.no_grad()
def tsne(features: Tensor, *, perplexity: float = 30.0, steps: int = 750) -> tuple[Tensor, float]:
    """A two-dimensional map (N, 2) of (N, D) features, N at least 4, and its Kullback-Leibler divergence.

    `perplexity` is the effective number of neighbours of each point, at most (N - 1) / 3. The first 250
    steps, of gradient descent with momentum and a gain for each coordinate, exaggerate the affinities, so
    that clusters can move past each other.
    """
    affinities = neighbour_probabilities(features.float(), perplexity)
    embedding = principal_components(features.float())
    embedding *= 1e-4 / embedding[:, 0].std().clamp_min(1e-12)  # equal features stay at one point
    rate = len(features) / EXAGGERATION / 4  # Belkina et al. 2019, whose gradient lacks the factor 4
    velocity, gains = torch.zeros_like(embedding), torch.ones_like(embedding)
    for step in range(steps):
        early = step < EXAGGERATED_STEPS
        gradient = kl_gradient(embedding, affinities, EXAGGERATION if early else 1.0)
        gains = torch.where(gradient.sign() == velocity.sign(), gains * 0.8, gains + 0.2).clamp_min(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        embedding += velocity
        embedding -= embedding.mean(dim=0)
    return embedding, kl_divergence(embedding, affinities).item()
