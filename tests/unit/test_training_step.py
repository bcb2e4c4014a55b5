"""One optimizer step: micro-batches, clipping, randomness, and where its time goes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_training import EXAMPLES, RECIPE, same, train

from triptych.training.batches import Batch, Batches, batch_size
from triptych.training.step import TIME_EVERY, Stopwatch, TrainingStep
from triptych.training.train_state import TrainState
from triptych.training.weight_average import WeightAverage
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")


def batches(**changes: Any) -> Batches:
    recipe: dict[str, Any] = {"batch_size": 12, "accumulate": 1, "epochs": 3, **changes}
    return Batches(50, recipe, seed=0, device=CPU, label="toy")


def gradient_after_one_step(accumulate: int, clip_norm: float | None = None) -> tuple[Tensor, float]:
    """Of a linear model without batch norm, whose loss is a mean over examples."""
    torch.manual_seed(0)
    model = nn.Linear(6, 1).double()
    x = torch.randn(50, 6, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    step = TrainingStep(
        TrainState(model, optimizer, WeightAverage(model, 0.0)),
        lambda batch: x[batch.indices],
        lambda model, inputs: (model(inputs) - 1).square().mean(),
        batches(accumulate=accumulate),
        {"clip_norm": clip_norm, "precision": "float32"},
    )
    loss = step(0, 0)
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return torch.cat(gradients), loss.item()


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_unequal_micro_batches_add_up_to_the_whole_batch(accumulate: int) -> None:
    whole, loss = gradient_after_one_step(1)
    accumulated, sum_of_losses = gradient_after_one_step(accumulate)
    torch.testing.assert_close(accumulated, whole, rtol=1e-12, atol=1e-12)
    assert sum_of_losses == pytest.approx(loss, rel=1e-12)


def test_the_gradient_of_the_whole_batch_is_clipped_to_its_norm() -> None:
    free, _ = gradient_after_one_step(3)
    short, _ = gradient_after_one_step(3, clip_norm=free.norm().item() / 4)
    torch.testing.assert_close(short, free / 4, rtol=1e-5, atol=0)
    loose, _ = gradient_after_one_step(3, clip_norm=free.norm().item() * 4)
    assert torch.equal(loose, free)


def test_an_epoch_visits_every_example_once_in_its_own_order() -> None:
    order = batches(batch_size=10, accumulate=3)
    epochs = []
    for epoch in range(2):
        visited = [batch.indices for step in range(5) for batch, _ in order.micro_batches(epoch, step)]
        epochs.append(torch.cat(visited))
        assert sorted(epochs[-1].tolist()) == list(range(50))
    assert not torch.equal(*epochs)


def test_each_micro_batch_has_its_own_randomness_whatever_was_drawn_before() -> None:
    order = batches(accumulate=2)
    draws = {}
    for epoch, step in ((0, 0), (0, 1), (1, 0)):
        for number, (batch, fraction) in enumerate(order.micro_batches(epoch, step)):
            dropout = torch.rand(())
            draws[epoch, step, number] = (dropout.item(), torch.rand((), generator=batch.generator).item())
            assert fraction == 0.5
    assert len({value for pair in draws.values() for value in pair}) == 2 * len(draws)
    later = batches(accumulate=2)
    torch.rand(17)
    (_, _), (batch, _) = later.micro_batches(0, 1)
    assert (torch.rand(()).item(), torch.rand((), generator=batch.generator).item()) == draws[0, 1, 1]


def test_progress_runs_from_zero_to_one() -> None:
    order = batches()
    progress = [next(order.micro_batches(epoch, step))[0].progress for epoch in range(3) for step in range(4)]
    assert progress == pytest.approx([number / 12 for number in range(12)])


def test_micro_batches_of_a_single_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match=r"splits batch_size 8 into 5 micro-batches, .* at least 2"):
        train(tmp_path, accumulate=5)


def test_a_training_accumulates_micro_batches(tmp_path: Path) -> None:
    seen: list[Batch] = []
    whole, _ = train(tmp_path / "whole", epochs=1)
    accumulated, _ = train(tmp_path / "accumulated", epochs=1, accumulate=4, seen=seen)
    assert [len(batch.indices) for batch in seen] == [2] * (EXAMPLES // 2)
    assert not same(whole, accumulated)


def test_the_share_is_that_of_the_time_within_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("triptych.training.step.time.perf_counter", lambda: now)
    watch = Stopwatch(CPU, 100)
    assert math.isnan(watch.share)
    for number in range(4):
        with watch.time_step(number):
            now += 3
            with watch.time_compute():
                now += 1
            assert watch.seconds_so_far == 4 * (number + 1)  # of the running step, too
    assert watch.seconds == 16 and watch.share == 0.25


@pytest.mark.parametrize(("steps", "timed"), [(3, [2]), (20, [10]), (200, [10, 60, 110, 160])])
def test_a_device_that_runs_ahead_is_waited_for_in_few_steps(steps: int, timed: list[int]) -> None:
    watch = Stopwatch(torch.device("meta"), steps)  # stands for a GPU: nothing runs on it
    waited = []
    watch._now = lambda: waited.append(number) or 0.0  # type: ignore[method-assign, func-returns-value]
    for number in range(steps):
        with watch.time_step(number), watch.time_compute():
            pass
    assert waited == [number for number in timed for _ in range(4)]
    assert TIME_EVERY == 50


@pytest.mark.parametrize(
    ("examples", "changes", "expected"),
    [(50, {}, 8), (8, {}, 8), (7, {}, 7), (7, {"gpus": 2, "accumulate": 2}, 4), (7, {"accumulate": 2}, 7)],
)
def test_a_batch_is_never_larger_than_the_data(examples: int, changes: dict[str, int], expected: int) -> None:
    recipe = {**RECIPE, "batch_size": 8, **changes}
    assert batch_size(recipe, examples) == expected
    batches = Batches(examples, recipe, seed=0, device=CPU, label="toy")
    assert (batches.batch_size, batches.steps) == (expected, examples // expected)


def test_too_few_examples_for_micro_batches_are_one_clear_line() -> None:
    with pytest.raises(TriptychError, match=r"toy: accumulate splits batch_size 3 into 2 .* or add images"):
        Batches(3, {**RECIPE, "accumulate": 2}, seed=0, device=CPU, label="toy")
