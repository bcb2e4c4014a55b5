"""Muon against its publication, and what it leaves to other optimizers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_cases import convolutional, learn, recipe, transformer
from torch import Tensor, nn

from triptych.training.muon import Muon, orthogonalise
from triptych.training.optimizer import hidden_matrices, make_optimizer, no_decay_parameters
from triptych.training.train_state import TrainState
from triptych.workflow.errors import TriptychError


@settings(max_examples=30)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 1000))
def test_orthogonalised_matrices_have_singular_values_near_one_and_the_same_directions(
    rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    u, _, v = np.linalg.svd(rng.normal(size=(rows, columns)), full_matrices=False)
    matrix = (u * rng.uniform(0.1, 1, min(rows, columns))) @ v
    found = orthogonalise(torch.tensor(matrix)).numpy()
    inner = u.T @ found @ v.T
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 1e-6
    assert np.diag(inner).min() > 0.5 and np.diag(inner).max() < 1.3


@pytest.mark.parametrize("smallest", [1.0, 1e-2, 1e-6])
def test_wide_matrices_are_orthogonalised_by_their_squares_to_float32s_digits(smallest: float) -> None:
    rng = np.random.default_rng(0)
    u, _, v = np.linalg.svd(rng.normal(size=(64, 576)), full_matrices=False)
    matrix = torch.tensor((u * np.geomspace(1, smallest, 64)) @ v)
    x = matrix / matrix.norm()
    for _ in range(5):  # as published
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    torch.testing.assert_close(orthogonalise(matrix), x)
    for found in (orthogonalise(matrix.float()), orthogonalise(matrix.float().mT).mT):
        assert (found - x).norm() < 1e-3 * x.norm()  # bfloat16 is off by 1e-2 to 2e-1


@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_muon_on_matrices_is_the_published_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    group = {"params": [ours], "hidden": True}
    muon = Muon([group], lr=0.1, momentum=0.9, weight_decay=0.2, dtype=torch.bfloat16)
    published = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.2, nesterov=True)
    for step in range(5):
        ours.grad = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        theirs.grad = ours.grad.clone()
        muon.step()
        published.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01)  # bfloat16 steps of 0.1
    assert (ours - 1).norm() > 0.5


def test_muon_takes_filters_as_matrices_in_either_memory_layout() -> None:
    def moved(layout: torch.memory_format) -> Tensor:
        weight = nn.Parameter(torch.zeros(6, 5, 3, 3).contiguous(memory_format=layout))
        gradient = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
        weight.grad = gradient.contiguous(memory_format=layout)
        Muon([{"params": [weight], "hidden": True}], lr=1.0).step()
        return weight.detach()

    plain, last = moved(torch.contiguous_format), moved(torch.channels_last)
    torch.testing.assert_close(plain, last, rtol=1e-4, atol=1e-5)
    singular = torch.linalg.svdvals(plain.flatten(1))
    assert singular.min() > 0.6 and singular.max() < 1.3  # the learning rate is the spectral norm


def test_muon_moves_the_rest_as_nesterov_sgd() -> None:
    ours, theirs = convolutional(), convolutional()
    optimizer = make_optimizer(ours, recipe(optimizer="muon", learning_rate=0.02, weight_decay=0.01))
    state = TrainState(ours, optimizer, None)  # type: ignore[arg-type]
    state.set_learning_rate(0.02)
    plain = torch.optim.SGD(theirs.parameters(), 0.02, momentum=0.9, nesterov=True, weight_decay=0.01)
    learn(ours, optimizer, range(3))
    learn(theirs, plain, range(3))
    others, hidden = [], []
    reference = dict(theirs.named_parameters())
    for name, value in ours.named_parameters():
        agrees = torch.allclose(value, reference[name], rtol=1e-4, atol=1e-6)
        (others if agrees else hidden).append(name)
    assert "0.stem.weight" in others and "1.weight" in others and "1.bias" in others
    assert len(hidden) == 19  # 16 convolutions of 3x3 and 3 of 1x1
    assert all(reference[name].ndim == 4 for name in hidden)


def test_muon_moves_the_rest_by_adamw_at_a_rate_of_its_own() -> None:
    ours, theirs = convolutional(), convolutional()
    changes = {"learning_rate": 0.02, "adam_learning_rate": 0.004, "weight_decay": 0.01}
    state = TrainState(ours, make_optimizer(ours, recipe(optimizer="muon", **changes)), None)  # type: ignore[arg-type]
    state.set_learning_rate(0.01)  # half way down the schedule
    adam = torch.optim.AdamW(theirs.parameters(), 0.002, betas=(0.9, 0.95), weight_decay=0.01)
    learn(ours, state.optimizer, range(3))
    learn(theirs, adam, range(3))
    reference = dict(theirs.named_parameters())
    apart = [name for name, value in ours.named_parameters() if not torch.allclose(value, reference[name])]
    assert len(apart) == 19 and all(reference[name].ndim == 4 for name in apart)  # the hidden layers


def test_muon_beside_adamw_goes_on_from_a_saved_state_with_the_same_bits() -> None:
    def made() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = convolutional()
        return model, make_optimizer(model, recipe(optimizer="muon", adam_learning_rate=0.004))

    model, optimizer = made()
    learn(model, optimizer, range(4))
    first, before = made()
    learn(first, before, range(2))
    again, after = made()
    again.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())
    assert all(value.dtype == torch.float32 for state in after.state.values() for value in state.values())
    learn(again, after, range(2, 4))
    for wanted, got in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(wanted, got)


def test_muon_without_hidden_layers_is_an_error() -> None:
    with pytest.raises(TriptychError, match="muon needs a model with a hidden layer"):
        make_optimizer(nn.Linear(3, 2), recipe(optimizer="muon"))


@pytest.mark.parametrize("wrapped", [False, True])
def test_muon_orthogonalises_what_is_between_the_ends_that_a_model_names(wrapped: bool) -> None:
    class Backwards(nn.Module):
        """Defines its layers in another order than they are used in."""

        embeddings = ("start",)
        ends = ("read", "write")

        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
            self.write, self.read = nn.Linear(4, 2), nn.Linear(3, 4)
            self.start = nn.Parameter(torch.zeros(5, 4))
            self.words = nn.Embedding(7, 4)

    model: nn.Module = nn.Sequential(Backwards()) if wrapped else Backwards()
    prefix = "0." if wrapped else ""
    assert hidden_matrices(model) == {f"{prefix}inner.0.weight", f"{prefix}inner.1.weight"}
    matrices = {f"{prefix}{name}" for name in ("start", "words.weight")}
    assert matrices <= no_decay_parameters(model)
    assert not any(
        "bias" in key for key, _ in model.named_parameters() if key not in no_decay_parameters(model)
    )


def test_muon_never_moves_the_ends_and_embeddings_by_orthogonal_steps() -> None:
    ours, theirs = transformer(), transformer()
    learn(ours, make_optimizer(ours, recipe(optimizer="muon", learning_rate=0.02)), range(2))
    plain = torch.optim.SGD(theirs.parameters(), 0.02, momentum=0.9, nesterov=True, weight_decay=1e-4)
    learn(theirs, plain, range(2))
    reference = dict(theirs.named_parameters())
    same = {k for k, v in ours.named_parameters() if torch.allclose(v, reference[k], rtol=1e-4, atol=1e-6)}
    assert same == set(reference) - hidden_matrices(ours)
    assert {"patches.weight", "head.weight", "class_token", "positions"} <= same
