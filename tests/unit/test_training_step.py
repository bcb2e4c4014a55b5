"""One optimizer step: pieces, clipping, the randomness that belongs to each."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_training import EXAMPLES, same, train

from triptych.training.batch import Batch, Batches
from triptych.training.state import Learner
from triptych.training.step import Step
from triptych.training.stopwatch import Stopwatch
from triptych.training.weight_average import WeightAverage
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")


def batches(**changes: Any) -> Batches:
    options: dict[str, Any] = {"size": 50, "batch_size": 12, "accumulate": 1, "epochs": 3, "seed": 0}
    return Batches(**{**options, **changes}, device=CPU, label="toy")


def gradient_after_one_step(accumulate: int, clip_norm: float | None = None) -> tuple[Tensor, float]:
    """Of a linear model without batch norm, whose loss is a mean over examples."""
    torch.manual_seed(0)
    model = nn.Linear(6, 1).double()
    x = torch.randn(50, 6, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    step = Step(
        Learner(model, optimizer, WeightAverage(model, 0.0)),
        lambda batch: x[batch.indices],
        lambda inputs: (model(inputs) - 1).square().mean(),
        clip_norm=clip_norm,
        device=CPU,
        precision="float32",
        watch=Stopwatch(CPU, 1),
    )
    loss = step(batches(accumulate=accumulate).pieces(0, 0), 0)
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return torch.cat(gradients), loss.item()


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_pieces_add_up_to_the_whole_batch_even_where_they_are_unequal(accumulate: int) -> None:
    whole, loss = gradient_after_one_step(1)
    pieced, sum_of_losses = gradient_after_one_step(accumulate)
    torch.testing.assert_close(pieced, whole, rtol=1e-12, atol=1e-12)
    assert sum_of_losses == pytest.approx(loss, rel=1e-12)


def test_the_gradient_of_the_whole_batch_is_clipped_to_its_norm() -> None:
    free, _ = gradient_after_one_step(3)
    short, _ = gradient_after_one_step(3, clip_norm=free.norm().item() / 4)
    torch.testing.assert_close(short, free / 4, rtol=1e-5, atol=0)
    loose, _ = gradient_after_one_step(3, clip_norm=free.norm().item() * 4)
    assert torch.equal(loose, free)


def test_an_epoch_visits_every_example_once_in_an_order_of_its_own() -> None:
    course = batches(batch_size=10, accumulate=3)
    epochs = []
    for epoch in range(2):
        visited = [piece.indices for step in range(5) for piece, _ in course.pieces(epoch, step)]
        epochs.append(torch.cat(visited))
        assert sorted(epochs[-1].tolist()) == list(range(50))
    assert not torch.equal(*epochs)


def test_each_piece_has_randomness_of_its_own_whatever_was_asked_before() -> None:
    course = batches(accumulate=2)
    draws = {}
    for epoch, step in ((0, 0), (0, 1), (1, 0)):
        for number, (piece, share) in enumerate(course.pieces(epoch, step)):
            dropout = torch.rand(())
            draws[epoch, step, number] = (dropout.item(), torch.rand((), generator=piece.generator).item())
            assert share == 0.5
    assert len({value for pair in draws.values() for value in pair}) == 2 * len(draws)
    later = batches(accumulate=2)
    torch.rand(17)
    (_, _), (piece, _) = later.pieces(0, 1)
    assert (torch.rand(()).item(), torch.rand((), generator=piece.generator).item()) == draws[0, 1, 1]


def test_progress_runs_from_zero_to_one() -> None:
    course = batches()
    shares = [next(course.pieces(epoch, step))[0].progress for epoch in range(3) for step in range(4)]
    assert shares == pytest.approx([number / 12 for number in range(12)])


def test_pieces_of_a_single_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match=r"cuts batch_size 8 into 5 pieces, .* at least 2 images"):
        train(tmp_path, accumulate=5)


def test_the_engine_hands_out_pieces(tmp_path: Path) -> None:
    seen: list[Batch] = []
    whole, _ = train(tmp_path / "whole", epochs=1)
    pieced, _ = train(tmp_path / "pieced", epochs=1, accumulate=4, seen=seen)
    assert [len(piece.indices) for piece in seen] == [2] * (EXAMPLES // 2)
    assert not same(whole, pieced)
