"""Adam on tables, the learning rate schedule, the moving average."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import nn

from triptych.kernels import registry
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.optimizer import AVERAGE_EVERY, TableAdam, learning_rate_at, moving_average


def table_adam(*tables: nn.Parameter, compiled: bool = False) -> TableAdam:
    step = registry.operation("radiance_adam", "cpu") if compiled else None
    optimizer = TableAdam(tables, compiled=step)
    optimizer.param_groups[0]["lr"] = 0.01
    return optimizer


def test_rows_that_always_get_gradients_follow_ordinary_adam() -> None:
    table, other = (nn.Parameter(torch.ones(5, 2, dtype=torch.float64)) for _ in range(2))
    optimizer = table_adam(table)
    reference = torch.optim.Adam([other], lr=0.01, betas=(0.9, 0.99), eps=1e-15)
    for step in range(30):
        gradient = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        table.grad, other.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        reference.step()
    assert torch.allclose(table, other, atol=1e-12)


def test_rows_without_gradient_stay_and_later_behave_as_new() -> None:
    late, early = (nn.Parameter(torch.zeros(2, 1)) for _ in range(2))
    first, second = table_adam(late), table_adam(early)
    for step in range(10):
        late.grad = torch.tensor([[1.0 + step], [0.0]])
        first.step()
    assert late[1] == 0
    late.grad, early.grad = torch.tensor([[0.0], [0.3]]), torch.tensor([[0.0], [0.3]])
    before = late[0].clone()
    first.step()
    second.step()
    assert late[1] == early[1]
    assert late[1].item() == pytest.approx(-0.01)
    assert late[0] == before


def test_learning_rate_is_constant_then_decays_to_its_end() -> None:
    rates = [learning_rate_at(share / 10, initial=1e-2, final=1e-4) for share in range(11)]
    assert rates[0] == rates[6] == 1e-2
    assert rates[10] == pytest.approx(1e-4)
    assert all(a > b for a, b in pairwise(rates[6:]))


def test_the_compiled_step_agrees_with_plain_pytorch() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(20_000, 4, generator=generator)
    plain, table = (nn.Parameter(start.clone()) for _ in range(2))
    reference, optimizer = table_adam(plain), table_adam(table, compiled=True)
    for _ in range(5):
        gradient = torch.randn(20_000, 4, generator=generator)
        gradient *= torch.rand(20_000, 1, generator=generator) < 0.4
        plain.grad, table.grad = gradient.clone(), gradient.clone()
        for each in (reference, optimizer):
            each.step()
            each.zero_grad()
    assert plain.grad is None
    assert table.grad is not None and not table.grad.any()  # cleared, its memory stays in use
    assert torch.allclose(plain, table, atol=1e-6)
    assert torch.equal(reference.state[plain]["count"], optimizer.state[table]["count"])


def test_an_optimizer_continues_from_its_saved_state() -> None:
    gradients = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    table = nn.Parameter(torch.zeros(6, 2))
    whole = table_adam(table)
    for number, gradient in enumerate(gradients):
        if number == 2:
            copy = nn.Parameter(table.detach().clone())
            resumed = table_adam(copy)
            resumed.load_state_dict(deepcopy(whole.state_dict()))
        table.grad = gradient
        whole.step()
        if number >= 2:
            copy.grad = gradient
            resumed.step()
    assert torch.equal(table, copy)


def test_the_moving_average_follows_and_does_not_train() -> None:
    field = Field(FieldShape(levels=2, log2_table=6))
    average = moving_average(field, 0.9)
    average.update_parameters(field)  # the first update copies the field
    start = average.module.density_network[0].weight.clone()
    assert torch.equal(start, field.density_network[0].weight)
    field.density_network[0].weight.data += 1
    average.update_parameters(field)
    moved = 1 - 0.9**AVERAGE_EVERY
    assert torch.allclose(average.module.density_network[0].weight, start + moved, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.parameters())
