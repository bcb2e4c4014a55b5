"""Seeded splits that keep the proportions of the classes."""

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import numpy_generator

Indices = NDArray[np.int64]


def stratified_split(
    labels: NDArray[np.integer], held_out: int, seed: int, *, every_class: bool = False, at_least: int = 0
) -> tuple[Indices, Indices]:
    """Hold out `held_out` of the items, from every class its share.

    A class with the share q = held_out * size / N gives floor(q) or ceil(q) items, so a balanced set is split
    into two sets whose class counts differ by one at most. The seats left by rounding down go first to
    classes without one, then to the largest remainders. Which items of a class are held out is drawn from
    (seed, class) alone: a larger `held_out` keeps what a smaller one held out, up to that rounding.

    Args:
        held_out: number of items, 0 to N; a `TriptychError` if it is another.
        every_class: keep at least one item of each class, and hold out at least one of each that has two,
            even if this changes the number of items held out.
        at_least: hold out at least so many items of each class that has them, even if this raises the number.

    Returns:
        Indices that stay and indices held out; both int64, sorted, disjoint, together 0 to N-1.
    """
    labels = np.asarray(labels)
    if not 0 <= held_out <= len(labels):
        raise TriptychError(f"cannot hold out {held_out} of {len(labels)} images; hold out fewer")
    classes, sizes = np.unique(labels, return_counts=True)
    seats, remainders = np.divmod(held_out * sizes, max(len(labels), 1))
    in_turn = np.lexsort((-remainders, (seats > 0) | (remainders == 0)))
    seats[in_turn[: held_out - int(seats.sum())]] += 1
    if every_class:
        seats = np.minimum(np.maximum(seats, 1), sizes - 1)
    seats = np.maximum(seats, np.minimum(sizes, at_least))

    chosen = np.zeros(len(labels), dtype=bool)
    for label, count in zip(classes.tolist(), seats.tolist(), strict=True):
        members = np.flatnonzero(labels == label)
        order = numpy_generator("split", seed, label).permutation(len(members))
        chosen[members[order[:count]]] = True
    return np.flatnonzero(~chosen).astype(np.int64), np.flatnonzero(chosen).astype(np.int64)


def stratified_subset(labels: NDArray[np.integer], size: int, seed: int) -> Indices:
    """Indices of `size` items in the proportions of the classes: int64, sorted (see `stratified_split`)."""
    return stratified_split(labels, size, seed)[1]
