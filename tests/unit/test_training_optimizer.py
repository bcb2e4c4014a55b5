"""Optimizers against independent implementations, and the groups of parameters they treat alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optimizer_cases import convolutional, learn, recipe, transformer
from torch import nn
from toy_training import train

from triptych.training.lars import LARS, TRUST
from triptych.training.optimizer import hidden_matrices, make_optimizer, no_decay_parameters
from triptych.workflow.errors import TriptychError

NAMES = ["sgd", "adam", "adamw", "lars", "muon"]


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
        ("adam", lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.01)),
        ("adamw", lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01)),
    ],
)
def test_fused_steps_on_channels_last_filters_are_the_plain_ones(name: str, reference: Any) -> None:
    ours, theirs = convolutional(), convolutional().to(memory_format=torch.contiguous_format)
    learn(ours, make_optimizer(ours, recipe(optimizer=name, weight_decay=0.01)), range(3))
    plain = reference(theirs.parameters())
    for step in range(3):
        for number, parameter in enumerate(theirs.parameters()):
            generator = torch.Generator().manual_seed(1000 * step + number)
            layout = torch.channels_last if parameter.ndim == 4 else torch.contiguous_format
            gradient = torch.empty_like(parameter, memory_format=layout).normal_(generator=generator)
            parameter.grad = gradient.contiguous()
        plain.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_lars_follows_its_equations(nesterov: bool) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=4)
    layer = nn.Linear(3, 4).double()
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    optimizer = make_optimizer(
        layer, recipe(optimizer="lars", nesterov=nesterov, weight_decay=0.1, momentum=0.8)
    )
    velocities = [np.zeros((4, 3)), np.zeros(4)]
    for step in range(5):
        rate = 2.0 / (step + 1)
        gradients = [rng.normal(size=(4, 3)), rng.normal(size=4)]
        layer.weight.grad, layer.bias.grad = (torch.tensor(gradient) for gradient in gradients)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        adapted = gradients[0] + 0.1 * weight
        adapted *= 0.001 * np.linalg.norm(weight) / np.linalg.norm(adapted)
        moves = []
        for velocity, gradient in zip(velocities, (adapted, gradients[1]), strict=True):
            velocity *= 0.8
            velocity += rate * gradient
            moves.append(0.8 * velocity + rate * gradient if nesterov else velocity)
        weight, bias = weight - moves[0], bias - moves[1]
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-12)
    np.testing.assert_allclose(layer.bias.detach().numpy(), bias, rtol=1e-12)
    assert TRUST == 0.001


def test_lars_moves_a_layer_that_is_zero() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([{"params": [weight]}], lr=0.5).step()
    assert torch.equal(weight, torch.full((2, 2), -0.5))


@pytest.mark.parametrize("name", NAMES)
def test_biases_and_norms_are_left_undecayed_where_asked(name: str) -> None:
    def shrunk(decay_biases: bool) -> set[str]:
        model = convolutional()
        for parameter in model.parameters():
            parameter.data.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
        options = recipe(optimizer=name, decay_biases=decay_biases, weight_decay=0.5, nesterov=False)
        make_optimizer(model, options).step()
        return {
            key
            for key, value in model.named_parameters()
            if not torch.equal(value, torch.ones(())) and (value < 1).all()
        }

    model = convolutional()
    matrices = {key for key, value in model.named_parameters() if value.ndim > 1}
    assert shrunk(decay_biases=False) == matrices
    everything = matrices if name == "lars" else {key for key, _ in model.named_parameters()}
    assert shrunk(decay_biases=True) == everything


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_positions_are_left_undecayed_like_biases(name: str) -> None:
    model = transformer()
    for parameter in model.parameters():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    options = recipe(optimizer=name, decay_biases=False, weight_decay=0.5, nesterov=False)
    make_optimizer(model, options).step()
    kept = {key for key, value in model.named_parameters() if torch.equal(value, torch.ones_like(value))}
    assert kept == {key for key, value in model.named_parameters() if value.ndim == 1} | {
        "class_token",
        "positions",
    }


def test_hidden_layers_of_a_vit_are_those_of_its_blocks() -> None:
    layers = ("attention.qkv", "attention.projection", "mlp.0", "mlp.3")
    assert hidden_matrices(transformer()) == {
        f"blocks.{b}.{layer}.weight" for b in (0, 1) for layer in layers
    }


class Namesakes(nn.Module):
    """Has layers of the names under which modules say what their parameters are."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.ends = nn.Linear(4, 2)


def test_layers_that_happen_to_be_called_embeddings_or_ends_are_layers() -> None:
    assert no_decay_parameters(Namesakes()) == {"embeddings.0.bias", "embeddings.1.bias", "ends.bias"}
    assert hidden_matrices(Namesakes()) == {"embeddings.1.weight"}


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_resumed_optimizers_give_the_same_bits(name: str, tmp_path: Path) -> None:
    straight = convolutional()
    optimizer = make_optimizer(straight, recipe(optimizer=name))
    learn(straight, optimizer, range(2))
    state = {"model": straight.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, tmp_path / "state.pt")
    learn(straight, optimizer, range(2, 4))

    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = convolutional()
    again = make_optimizer(resumed, recipe(optimizer=name))
    resumed.load_state_dict(saved["model"])
    again.load_state_dict(saved["optimizer"])
    learn(resumed, again, range(2, 4))
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("name", "rate", "epochs"),
    [("sgd", 0.1, 4), ("adam", 0.01, 4), ("adamw", 0.01, 4), ("lars", 0.3, 10), ("muon", 0.02, 4)],
)
def test_every_optimizer_learns(tmp_path: Path, name: str, rate: float, epochs: int) -> None:
    _, fitted = train(tmp_path, optimizer=name, learning_rate=rate, epochs=epochs)
    assert fitted.rows[-1]["error"] < 0.5 * 0.43  # the variance of sin(x) is 0.43


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("start", r"Named.embeddings is 'start'; optimizers need a tuple"),
        (["start"], r"Named.embeddings is \['start'\]; optimizers need a tuple"),
        (("begin",), "Named.embeddings names begin, which Named does not have"),
    ],
)
def test_names_that_would_be_passed_over_are_errors(names: Any, problem: str) -> None:
    class Named(nn.Module):
        embeddings = names

        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.zeros(1, 2, 3))

    with pytest.raises(TriptychError, match=problem):
        no_decay_parameters(Named())
