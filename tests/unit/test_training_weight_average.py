"""The running average of weights."""

from pathlib import Path

import pytest
import torch
from torch import nn
from toy_training import same, train

from triptych.training.weight_average import WeightAverage


def test_it_is_the_exponential_average_with_a_growing_memory() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    average = WeightAverage(model, 0.7)
    expected = model.weight.item()
    for step in range(40):
        model.weight.data.fill_(float(step**2 % 7))
        average.update(step)
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step**2 % 7)
    assert average.state_dict()["weight"].item() == pytest.approx(expected, rel=1e-12)


def test_running_statistics_are_averaged_and_counters_are_not() -> None:
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, 0.9)
    assert model.running_mean is not None and model.num_batches_tracked is not None
    model.running_mean.fill_(1.0)
    model.num_batches_tracked.fill_(5)
    average.update(0)
    with average.applied():
        assert model.running_mean.item() == pytest.approx(0.9)  # the first decay is 1/10
        assert model.num_batches_tracked.item() == 5
    assert model.running_mean.item() == 1.0


def test_the_model_has_the_average_within_the_context_only_even_after_an_error() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.5)
    initial = model.weight.detach().clone()
    model.weight.data += 1
    with pytest.raises(ZeroDivisionError), average.applied():
        assert torch.equal(model.weight, initial)
        raise ZeroDivisionError
    assert torch.equal(model.weight, initial + 1)


def test_frozen_weights_need_no_average_and_none_is_kept_when_off() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    assert set(WeightAverage(model, 0.9).state_dict()) == {"1.weight", "1.bias"}
    assert WeightAverage(model, 0.0).state_dict() == {}


def test_averaged_weights_are_evaluated_selected_and_returned(tmp_path: Path) -> None:
    evaluated = []

    def evaluate(model: nn.Module) -> float:
        evaluated.append({name: value.clone() for name, value in model.state_dict().items()})
        return float(-len(evaluated))

    trained, _ = train(tmp_path / "plain", epochs=2)
    averaged, _ = train(tmp_path / "ema", epochs=2, ema=0.95, evaluate=evaluate)
    assert all(torch.equal(value, evaluated[-1][name]) for name, value in averaged.state_dict().items())
    assert not same(trained, averaged)
    # The average stays out of the training itself.
    state = torch.load(next((tmp_path / "ema/checkpoints").iterdir()), weights_only=True)["state"]
    plain = torch.load(next((tmp_path / "plain/checkpoints").iterdir()), weights_only=True)["state"]
    assert all(torch.equal(value, state["model"][name]) for name, value in plain["model"].items())


def test_an_average_errs_less_than_the_noisy_weights_it_averages(tmp_path: Path) -> None:
    noisy = {"schedule": "constant", "learning_rate": 0.1, "epochs": 6}
    _, plain = train(tmp_path / "plain", **noisy)
    _, averaged = train(tmp_path / "ema", ema=0.98, **noisy)
    last = [sum(row["error"] for row in fitted.rows[-3:]) for fitted in (averaged, plain)]
    assert last[0] < last[1]
