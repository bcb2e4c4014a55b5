"""Nearest neighbours on features, against brute force; and the monitor that runs during a training."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from triptych.data.device import DeviceImages
from triptych.ssl.encoding import feature_spread
from triptych.ssl.knn import knn_accuracy, knn_scores
from triptych.ssl.monitor import Monitor


def brute_force(
    bank: np.ndarray, labels: np.ndarray, query: np.ndarray, classes: int, k: int, temperature: float
) -> np.ndarray:
    """The votes for one query in float64, neighbour by neighbour, relative to the nearest one's."""
    similarity = bank @ query / (np.linalg.norm(bank, axis=1) * np.linalg.norm(query))
    order = np.argsort(-similarity)[:k]
    votes = np.zeros(classes)
    for neighbour in order:
        votes[labels[neighbour]] += np.exp((similarity[neighbour] - similarity[order[0]]) / temperature)
    return votes


@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([0.001, 0.1, 1.0]))
def test_votes_are_those_of_brute_force(seed: int, k: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    bank, queries = rng.normal(size=(40, 6)), rng.normal(size=(7, 6))
    labels = rng.integers(0, 4, 40)
    expected = [brute_force(bank, labels, query, 4, k, temperature) for query in queries]
    found = knn_scores(
        torch.from_numpy(bank),
        torch.from_numpy(labels),
        torch.from_numpy(queries),
        num_classes=4,
        k=k,
        temperature=temperature,
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3, atol=1e-4)


def test_accuracy_is_a_percentage_and_length_does_not_matter() -> None:
    torch.manual_seed(0)
    centres = torch.eye(5)
    labels = torch.arange(200) % 5
    features = (centres[labels] + 0.1 * torch.randn(200, 5)) * torch.rand(200, 1).add(0.01)
    assert knn_accuracy(features[:150], labels[:150], features[150:], labels[150:], k=10) == 100
    wrong = (labels[150:] + 1) % 5
    wrong[:10] = labels[150:160]
    assert knn_accuracy(features[:150], labels[:150], features[150:], wrong, k=10) == pytest.approx(20)


def test_spread_is_zero_for_collapsed_and_one_for_isotropic_features() -> None:
    torch.manual_seed(0)
    one = torch.randn(1, 64)
    assert feature_spread(one * torch.rand(500, 1).add(0.1)) == pytest.approx(0, abs=1e-5)
    assert feature_spread(torch.randn(5000, 64)) == pytest.approx(1, abs=0.02)


RECIPE = {
    "epochs": 1,
    "precision": "float32",
    "batch_size": 8,
    "accumulate": 1,
    "views": {"count": 2},
    "decoupled": False,
}


class Mean(nn.Module):
    """Mean colours, behind a batch norm that would notice train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.mean(dim=(2, 3)))


def coloured(count: int) -> DeviceImages:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 100, (count, 8, 8, 3))
    pixels[np.arange(count), :, :, labels] += 100
    mean, std = (0.4, 0.4, 0.4), (0.2, 0.2, 0.2)
    return DeviceImages(pixels.astype(np.uint8), labels, mean=mean, std=std, device=torch.device("cpu"))


def test_the_monitor_finds_the_classes_leaves_the_encoder_alone_and_repeats_itself() -> None:
    encoder = Mean().train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    monitor = Monitor(coloured(300), encoder, RECIPE, label="test", bank_size=120, query_size=60)
    found = monitor.evaluate()
    assert found["knn_accuracy"] == 100
    assert 0.5 < found["feature_std"] <= 1.01
    assert encoder.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    again = Monitor(coloured(300), encoder, RECIPE, label="test", bank_size=120, query_size=60)
    assert again.evaluate() == found == monitor.evaluate()


def test_the_monitors_bank_and_queries_are_disjoint_balanced_and_fit_few_images() -> None:
    images = coloured(90)
    monitor = Monitor(images, Mean(), RECIPE, label="test")
    assert not set(monitor.bank.tolist()) & set(monitor.queries.tolist())
    assert len(monitor.queries) == 18 and len(monitor.bank) == 72
    assert torch.bincount(images.labels[monitor.queries]).tolist() == [6, 6, 6]
