"""Label fractions: which training images are labelled, drawn class by class from a seed."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.splits import stratified_split
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import derive_seed

LABELLED = 2  # least number of labelled images of a class


def labelled_images(labels: Tensor, *, percent: float, seed: int) -> Tensor:
    """Sorted indices of `percent` of the images with these (N,) labels, in the proportions of the classes.

    A larger fraction contains a smaller one of the same seed, up to rounding. There are more if some class
    would have fewer than two: none of its labels could be held out. Raises `TriptychError` if a class has
    fewer than two images.
    """
    known = labels.cpu().numpy()
    counts = np.bincount(known)
    if counts[counts > 0].min() < LABELLED:
        raise TriptychError(
            f"label fractions need {LABELLED} training images of each class, which some class lacks; add "
            "images, or set percents in the config to []"
        )
    size = round(len(known) * percent / 100)
    return torch.from_numpy(stratified_split(known, size, derive_seed("labels", seed), at_least=LABELLED)[1])


def labelled(labels: NDArray[np.int64], percent: float) -> NDArray[np.int64]:
    """The labels of the images that `labelled_images` chooses with seed 0; other seeds choose as many."""
    return labels[labelled_images(torch.from_numpy(labels), percent=percent, seed=0).numpy()]
