"""Adam on tables, the learning rate's course, the moving average."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.optimizer import AVERAGE_EVERY, MovingAverage, TableAdam, learning_rate_at


def test_rows_that_always_get_gradients_follow_ordinary_adam() -> None:
    ours, theirs = (nn.Parameter(torch.ones(5, 2, dtype=torch.float64)) for _ in range(2))
    table, reference = (
        TableAdam([ours], kernels=False),
        torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99), eps=1e-15),
    )
    for step in range(30):
        gradient = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        table.step(0.01)
        reference.step()
    assert torch.allclose(ours, theirs, atol=1e-12)


def test_rows_without_gradient_rest_and_later_behave_as_new() -> None:
    late, early = (nn.Parameter(torch.zeros(2, 1)) for _ in range(2))
    first, second = TableAdam([late], kernels=False), TableAdam([early], kernels=False)
    for step in range(10):
        late.grad = torch.tensor([[1.0 + step], [0.0]])
        first.step(0.01)
    assert late[1] == 0
    late.grad, early.grad = torch.tensor([[0.0], [0.3]]), torch.tensor([[0.0], [0.3]])
    before = late[0].clone()
    first.step(0.01)
    second.step(0.01)
    assert late[1] == early[1]
    assert late[1].item() == pytest.approx(-0.01)
    assert late[0] == before


def test_learning_rate_is_held_then_decays_to_its_end() -> None:
    rates = [learning_rate_at(share / 10, initial=1e-2, final=1e-4) for share in range(11)]
    assert rates[0] == rates[6] == 1e-2
    assert rates[10] == pytest.approx(1e-4)
    assert all(a > b for a, b in pairwise(rates[6:]))


def test_the_kernel_steps_as_tensor_operations_do() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(20_000, 4, generator=generator)
    tables = [nn.Parameter(start.clone()) for _ in range(2)]
    steps = [
        TableAdam([table], kernels=kernels) for table, kernels in zip(tables, (False, True), strict=True)
    ]
    for _ in range(5):
        gradient = torch.randn(20_000, 4, generator=generator)
        gradient *= torch.rand(20_000, 1, generator=generator) < 0.4
        for table, optimizer in zip(tables, steps, strict=True):
            table.grad = gradient.clone()
            optimizer.step(0.01)
    assert tables[0].grad is None
    assert tables[1].grad is not None and not tables[1].grad.any()  # cleared, ready for the next step
    assert torch.allclose(tables[0], tables[1], atol=1e-6)
    assert torch.equal(steps[0].count[0], steps[1].count[0])


def test_moving_average_follows_and_does_not_train() -> None:
    field = Field(FieldShape(levels=2, log2_table=6))
    average = MovingAverage(field, 0.9)
    start = average.field.density_network[0].weight.clone()
    field.density_network[0].weight.data += 1
    for step in range(1, AVERAGE_EVERY + 1):
        average.update(step)
    moved = 1 - 0.9**AVERAGE_EVERY
    assert torch.allclose(average.field.density_network[0].weight, start + moved, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.field.parameters())
