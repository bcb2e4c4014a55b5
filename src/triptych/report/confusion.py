"""Which groups of classes are taken for which: row-normalised confusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

MOST = 20  # groups that a figure can name


@dataclass(frozen=True)
class Groups:
    """What is confused: `kind` (class or superclass), names, and for each class the index of its group."""

    kind: str
    names: tuple[str, ...]
    of_class: tuple[int, ...]


def confusable_groups(dataset: Mapping[str, Any]) -> Groups | None:
    """The superclasses of a `dataset.json`; where there are none, its classes, if they are at most 20."""
    classes = dataset["classes"]
    if dataset.get("superclasses"):
        return Groups("superclass", tuple(dataset["superclasses"]), tuple(dataset["superclass_of_class"]))
    if len(classes) <= MOST:
        return Groups("class", tuple(classes), tuple(range(len(classes))))
    return None


def confusion(
    labels: NDArray[np.integer], predictions: Sequence[NDArray[np.integer]], groups: Groups
) -> NDArray[np.float64]:
    """Share of the images of each group that is put into each group, over all seeds together.

    Args:
        labels: (N,) right classes.
        predictions: of every seed, (N,) predicted classes.
        groups: G groups of the classes.

    Returns:
        (G, G): rows are the right groups, columns the predicted ones. Rows sum to 1; those of groups
        without images are 0.
    """
    group = np.asarray(groups.of_class)
    counts = np.zeros((len(groups.names), len(groups.names)))
    for predicted in predictions:
        np.add.at(counts, (group[labels], group[predicted]), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def neighbourly_order(matrices: Sequence[NDArray[np.float64]]) -> list[int]:
    """An order of the groups in which those that are confused stand together, the same for all matrices.

    Average linkage on one minus the mean confusion in both directions, with the leaves in the order that
    has the least distance between neighbours (Bar-Joseph et al., Fast Optimal Leaf Ordering, 2001).
    """
    mean = np.mean(matrices, axis=0)
    likeness = (mean + mean.T) / 2
    if len(likeness) < 3:
        return list(range(len(likeness)))
    distance = 1 - likeness
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]
