"""Stratified splits: disjoint, complete, proportional, seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.packed import LabelledImages
from triptych.data.splits import stratified_split, stratified_subset
from triptych.workflow.errors import TriptychError

labels_and_count = st.lists(st.integers(0, 5), min_size=1, max_size=80).flatmap(
    lambda labels: st.tuples(st.just(np.array(labels)), st.integers(0, len(labels)))
)


@given(labels_and_count, st.integers(0, 9))
def test_split_is_a_partition_into_sorted_indices(case, seed):
    labels, held_out = case
    kept, held = stratified_split(labels, held_out, seed)
    assert kept.dtype == held.dtype == np.int64
    assert len(held) == held_out
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()


@given(labels_and_count, st.integers(0, 9))
def test_every_class_gives_its_share_to_within_one(case, seed):
    labels, held_out = case
    _, held = stratified_split(labels, held_out, seed)
    for label in np.unique(labels):
        share = held_out * (labels == label).mean()
        assert abs((labels[held] == label).sum() - share) < 1


@given(labels_and_count, st.integers(0, 9))
def test_seats_left_by_rounding_go_first_to_classes_without_one(case, seed):
    labels, held_out = case
    counts, kept = np.bincount(labels), stratified_split(labels, held_out, seed)[0]
    held = counts - np.bincount(labels[kept], minlength=len(counts))
    without = (counts > 0) & (held == 0)
    shares = held_out * counts / len(labels)
    assert not without.any() or held_out == 0 or (held[shares >= 1] <= shares[shares >= 1]).all()


@given(labels_and_count, st.integers(0, 9))
def test_every_class_of_two_or_more_can_be_on_both_sides(case, seed):
    labels, held_out = case
    for part in stratified_split(labels, held_out, seed, every_class=True):
        assert {label for label in labels.tolist() if (labels == label).sum() > 1} <= set(
            labels[part].tolist()
        )


@given(labels_and_count, st.integers(0, 9))
def test_every_class_keeps_an_image(case, seed):
    labels, held_out = case
    assert {*labels[stratified_split(labels, held_out, seed, every_class=True)[0]]} == {*labels}


def test_rare_classes_are_held_out_too():
    labels = np.repeat(np.arange(4), (400, 40, 12, 6))
    assert np.bincount(labels[stratified_split(labels, 46, seed=0)[1]]).tolist() == [40, 4, 1, 1]


@given(st.integers(1, 10), st.integers(1, 12), st.data())
def test_balanced_labels_stay_balanced(classes, each, data):
    labels = np.tile(np.arange(classes), each)
    held_out = data.draw(st.integers(0, len(labels)))
    for part in stratified_split(labels, held_out, seed=0):
        counts = np.bincount(labels[part], minlength=classes)
        assert counts.max() - counts.min() <= 1


def test_the_seed_decides():
    labels = np.arange(200) % 4
    first, again, other = (stratified_split(labels, 50, seed)[1] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_larger_subset_contains_the_smaller_one():
    labels = np.arange(200) % 4
    small, large = stratified_subset(labels, 40, seed=1), stratified_subset(labels, 120, seed=1)
    assert set(small) < set(large)


@pytest.mark.parametrize("held_out", [-1, 11])
def test_impossible_sizes_are_refused(held_out):
    with pytest.raises(TriptychError, match="of 10 images"):
        stratified_split(np.zeros(10, dtype=np.int64), held_out, seed=0)


def numbered_images(count: int) -> LabelledImages:
    """Image i is filled with the value i and has the label i modulo 5."""
    numbers = np.arange(count)
    pixels = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (count, 2, 2, 3)).copy()
    return LabelledImages(pixels, numbers % 5, pixels, numbers % 5, tuple("abcde"), {"kind": "test"})


def test_a_subset_keeps_images_and_labels_together():
    subset = numbered_images(100).subset(train_size=20, test_size=None, seed=0)
    assert len(subset.train_images) == 20 and len(subset.test_images) == 100
    assert np.array_equal(subset.train_images[:, 0, 0, 0] % 5, subset.train_labels)
    assert np.array_equal(np.bincount(subset.train_labels), [4] * 5)


def test_a_subset_cannot_be_larger_than_the_whole():
    with pytest.raises(TriptychError, match="test_size is 101, but there are 100"):
        numbered_images(100).subset(train_size=None, test_size=101, seed=0)
