"""Label fractions: which training images are labelled, drawn class by class from a seed."""

import torch
from torch import Tensor

from triptych.data.splits import stratified_subset
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import derive_seed


def labelled_images(labels: Tensor, *, percent: float, seed: int) -> Tensor:
    """Indices of `percent` of the images, in the proportions of the classes.

    A larger fraction contains a smaller one of the same seed, up to rounding.

    Args:
        labels: (N,) int64.
        percent: above 0, at most 100.
        seed: seed of the draw.

    Returns:
        (M,) int64, sorted.

    Raises:
        TriptychError: a class would have fewer than two labelled images, so that none could be held out.
    """
    size = round(len(labels) * percent / 100)
    chosen = torch.from_numpy(stratified_subset(labels.cpu().numpy(), size, derive_seed("labels", seed)))
    counts = torch.bincount(labels.cpu()[chosen], minlength=int(labels.max()) + 1)
    present = torch.bincount(labels.cpu()) > 0
    if (counts[present] < 2).any():
        raise TriptychError(
            f"{percent:g} % of the labels are {size}, fewer than two for some of the "
            f"{int(present.sum())} classes; raise percents in the config, or set it to []"
        )
    return chosen
