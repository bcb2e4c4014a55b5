"""Fused batch norm, addition and ReLU: PyTorch's own operations, in float64, are the reference."""

import copy

import pytest
import torch
from kernel_cases import bfloat16_tier, channels_last, normal
from torch import Tensor, nn

from triptych.kernels.norm.batch_norm import batch_norm

__all__ = ["bfloat16_tier"]
pytestmark = pytest.mark.usefixtures("bfloat16_tier")


def draw(*shape: int, seed: int = 0) -> Tensor:
    """A channels_last bfloat16 map."""
    return channels_last(normal(*shape, seed=seed).bfloat16())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("shortcut", "relu"), [(False, False), (False, True), (True, True)])
def test_fused_batch_norm_equals_pytorchs_in_float64(shortcut: bool, relu: bool, dtype: torch.dtype) -> None:
    n, c, side = 6, 40, 5  # neither fills vectors nor divides into tasks
    # far from zero: sums of squares cancel
    x = draw(n, c, side, side).to(dtype).mul(3).add(50).requires_grad_()
    other = draw(n, c, side, side, seed=1).to(dtype).requires_grad_() if shortcut else None
    dy = draw(n, c, side, side, seed=2).to(dtype)
    norm = nn.BatchNorm2d(c)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    reference = copy.deepcopy(norm).double()
    y = batch_norm(norm, x, other, relu=relu)
    assert type(y.grad_fn).__name__ == "_BatchNormBackward" and y.dtype == dtype
    y.backward(dy)

    exact_x = x.detach().double().requires_grad_()
    exact_other = None if other is None else other.detach().double().requires_grad_()
    exact = reference(exact_x)
    exact = exact if exact_other is None else exact + exact_other
    exact = torch.relu(exact) if relu else exact
    exact.backward(dy.double())

    def close(ours: Tensor | None, theirs: Tensor | None, tolerance: float) -> None:
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)

    rounding = 2**-7 if dtype == torch.bfloat16 else 2e-5
    close(y.detach(), exact.detach(), rounding)
    close(x.grad, exact_x.grad, rounding)
    if other is not None and exact_other is not None:
        close(other.grad, exact_other.grad, 1e-6)
    close(norm.weight.grad, reference.weight.grad, 1e-3)
    close(norm.bias.grad, reference.bias.grad, 1e-4)
    close(norm.running_mean, reference.running_mean, 1e-5)
    close(norm.running_var, reference.running_var, 1e-5)
    assert norm.num_batches_tracked == reference.num_batches_tracked


def test_running_statistics_may_be_plain_averages() -> None:
    norm, reference = nn.BatchNorm2d(16, momentum=None), nn.BatchNorm2d(16, momentum=None)
    for seed in range(3):
        x = draw(8, 16, 4, 4, seed=seed).requires_grad_()
        batch_norm(norm, x, relu=True)
        reference(x.float())
    torch.testing.assert_close(norm.running_mean, reference.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, reference.running_var, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("shortcut", "relu"), [(False, False), (False, True), (True, True)])
def test_evaluation_without_gradients_equals_pytorchs_in_float64(
    shortcut: bool, relu: bool, dtype: torch.dtype
) -> None:
    x, other = draw(6, 40, 5, 5).to(dtype), draw(6, 40, 5, 5, seed=1).to(dtype)
    norm = nn.BatchNorm2d(40).eval()
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert values is not None
        nn.init.uniform_(values, 0.5, 2)
    exact = copy.deepcopy(norm).double()(x.double())
    exact = exact + other if shortcut else exact
    exact = torch.relu(exact) if relu else exact
    before = copy.deepcopy(norm.state_dict())
    with torch.no_grad():
        y = batch_norm(norm, x, other if shortcut else None, relu=relu)
    assert y.dtype == dtype
    rounding = 2**-8 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(y.double(), exact.detach(), rtol=rounding, atol=rounding)
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())


def test_evaluation_with_gradients_other_layouts_and_formats_are_pytorchs_own_operations() -> None:
    norm, x = nn.BatchNorm2d(8), torch.randn(4, 8, 3, 3)
    expected = torch.relu(copy.deepcopy(norm)(x) + x)
    assert torch.equal(batch_norm(norm, x, x, relu=True), expected)  # not channels_last
    norm.eval()
    x = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch_norm(norm, x, relu=True), torch.relu(norm(x)))
    norm, x = nn.BatchNorm2d(8).double(), x.double()
    assert torch.equal(batch_norm(copy.deepcopy(norm), x, relu=True), torch.relu(norm(x)))
