"""The mathematics on features: the choice of a weight decay, fractions of the labels, and the map."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.ssl.features import LabelledFeatures
from triptych.ssl.label_fraction import labelled_images
from triptych.ssl.tsne import kl_divergence, kl_gradient, neighbour_probabilities, tsne
from triptych.ssl.weight_decay_search import (
    Search,
    Trial,
    search_folds,
    search_held_out,
    warn_at_end_of_grid,
    weight_decay_grid,
)


def clusters(count: int, spread: float = 0.3, seed: int = 0) -> LabelledFeatures:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    centres = torch.randn(4, 8, generator=generator)
    return LabelledFeatures(centres[labels] + spread * torch.randn(count, 8, generator=generator), labels)


def test_the_grid_goes_from_strong_to_weak_in_equal_ratios() -> None:
    assert weight_decay_grid({"min": 1e-4, "max": 1.0, "count": 5}) == pytest.approx(
        [1, 0.1, 0.01, 1e-3, 1e-4]
    )
    assert weight_decay_grid({"min": 0.1, "max": 0.1, "count": 1}) == pytest.approx([0.1])


def test_cross_validation_holds_out_every_example_once_and_is_repeatable() -> None:
    examples = clusters(60, spread=1.5)
    found = search_folds(examples, 4, [0.1, 0.01], folds=3, seed=5)
    assert [trial.weight_decay for trial in found.path] == [0.1, 0.01]
    for trial in found.path:  # a whole number of 60 answers
        assert trial.validation_top1_accuracy * 0.6 == pytest.approx(
            round(trial.validation_top1_accuracy * 0.6)
        )
    assert found.best == max(found.path, key=lambda t: (t.validation_top1_accuracy, -t.validation_loss))
    assert search_folds(examples, 4, [0.1, 0.01], folds=3, seed=5).path == found.path


def test_the_best_of_equals_has_the_lowest_loss() -> None:
    examples = clusters(80, spread=0.05)
    held_out = clusters(40, spread=0.05, seed=0)
    found = search_held_out(examples, held_out, 4, [10.0, 0.1, 0.001])
    assert [trial.validation_top1_accuracy for trial in found.path] == [100.0] * 3
    assert found.best.validation_loss == min(trial.validation_loss for trial in found.path)


@pytest.mark.parametrize(
    ("accuracies", "told"),
    [([60.0, 50.0, 50.0], True), ([50.0, 50.0, 60.0], True), ([50.0, 60.0, 50.0], False), ([60.0], False),
     ([53.0, 50.0, 52.0], False)],  # of 100 examples, 5 points are chance
)  # fmt: skip
def test_a_best_weight_decay_at_the_end_of_the_grid_is_told_if_it_is_no_chance(
    accuracies: list[float], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = [Trial(10.0**-number, accuracy, 1.0, 1.0, 5) for number, accuracy in enumerate(accuracies)]
    found = Search(path, max(path, key=lambda trial: trial.validation_top1_accuracy), None, 100)
    warn_at_end_of_grid(found, "probe/seed0")
    assert found.record()["at_end_of_grid"] is told
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == told and all("probe/seed0" in text for text in warnings)


@given(st.integers(0, 100), st.sampled_from([5.0, 10.0, 50.0, 100.0]))
def test_a_fraction_of_the_labels_keeps_the_proportions_of_the_classes(seed: int, percent: float) -> None:
    labels = torch.arange(400) % 4
    chosen = labelled_images(labels, percent=percent, seed=seed)
    assert torch.bincount(labels[chosen]).tolist() == [percent] * 4
    larger = labelled_images(labels, percent=100.0, seed=seed)
    assert set(chosen.tolist()) <= set(larger.tolist())


def test_affinities_are_a_distribution_of_the_given_perplexity() -> None:
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) * 100
    affinities = neighbour_probabilities(features, 10.0)
    assert affinities.sum() == pytest.approx(1, abs=1e-5)
    assert torch.equal(affinities, affinities.T) and affinities.diagonal().abs().max() == 0
    equal = neighbour_probabilities(torch.eye(30), 5.0)  # all are equally far: nothing to tell apart
    assert equal[0, 1:].max() == pytest.approx(equal[0, 1:].min().item(), rel=1e-4)


def test_the_gradient_of_the_map_is_that_of_its_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    affinities = neighbour_probabilities(torch.randn(30, 4, generator=generator), 5.0).double()
    places = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    by_difference = torch.zeros_like(places)
    for index in np.ndindex(30, 2):
        step = torch.zeros_like(places)
        step[index] = 1e-6
        up, down = kl_divergence(places + step, affinities), kl_divergence(places - step, affinities)
        by_difference[index] = (up - down) / 2e-6
    torch.testing.assert_close(kl_gradient(places, affinities), by_difference, rtol=1e-4, atol=1e-6)


def test_the_map_keeps_clusters_apart_and_is_the_same_every_time() -> None:
    examples = clusters(120)
    places, divergence = tsne(examples.features, perplexity=10, steps=400)
    distances = torch.cdist(places, places).fill_diagonal_(torch.inf)
    assert (examples.labels[distances.argmin(1)] == examples.labels).all()
    assert 0 < divergence < 1.5
    assert torch.equal(places, tsne(examples.features, perplexity=10, steps=400)[0])


def test_features_that_are_all_alike_stay_at_one_point() -> None:
    places, _ = tsne(torch.ones(20, 5), perplexity=5, steps=20)
    assert places.isfinite().all() and (places == places[0]).all()
