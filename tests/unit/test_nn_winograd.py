"""3 x 3 convolutions by Winograd's filtering: torch's own are the oracle."""

import subprocess
import sys

import pytest
import torch
from cpu_features import pretend_cpu_has
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from triptych.kernels.conv import winograd_bf16 as winograd
from triptych.kernels.conv.layer import Conv2d
from triptych.kernels.registry import supports

needs_pairs = pytest.mark.skipif(
    not supports("avx512_bf16"), reason="this CPU does not multiply pairs (AVX512-BF16)"
)

CHANNELS = st.sampled_from([64, 128, 192])
SIDES = st.sampled_from([(4, 1), (6, 1), (10, 1), (8, 2), (12, 2)])  # with strides


def whole(*shape: int, seed: int, most: int) -> Tensor:
    """A channels_last map of whole numbers: their transforms and sums are exact in bfloat16 and float32."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(-most, most + 1, shape, generator=generator).float()
    return numbers.contiguous(memory_format=torch.channels_last)


def gradients(x: Tensor, filters: Tensor, dy: Tensor, stride: int = 1) -> tuple[Tensor, Tensor]:
    """The gradients of torch's own convolution."""
    dx, dw, _ = torch.ops.aten.convolution_backward(
        dy, x, filters, None, [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
    )
    return dx, dw


@needs_pairs
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), CHANNELS, CHANNELS, SIDES)
def test_of_whole_numbers_every_result_is_exact(
    n: int, channels_in: int, channels: int, side_and_stride: tuple[int, int]
) -> None:
    side, stride = side_and_stride
    x = whole(n, channels_in, side, side, seed=0, most=2)
    dy = whole(n, channels, side // stride, side // stride, seed=1, most=2)
    filters = 4 * whole(channels, channels_in, 3, 3, seed=2, most=1)  # halved twice
    dx, dw = gradients(x, filters, dy, stride)
    expected = torch.conv2d(x, filters, None, stride, 1)
    few, fewer = x.bfloat16(), dy.bfloat16()
    assert torch.equal(winograd.output(few, filters, stride), expected.bfloat16())
    assert torch.equal(winograd.input_gradient(fewer, filters, side, stride), dx.bfloat16())
    assert torch.equal(winograd.weight_gradient(few, fewer, 3, stride), dw)


@needs_pairs
@pytest.mark.parametrize("stride", [1, 2])
def test_rounding_costs_no_more_than_three_times_what_it_costs_torchs_own(stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = (8, 256, 8, 8), (8, 256, 8 // stride, 8 // stride), (256, 256, 3, 3)
    x, dy, filters = (torch.randn(shape, generator=generator) for shape in shapes)
    few, fewer = (m.bfloat16().contiguous(memory_format=torch.channels_last) for m in (x, dy))
    exact = torch.conv2d(few.double(), filters.double(), None, stride, 1)
    exact_dx, exact_dw = gradients(few.double(), filters.double(), fewer.double(), stride)
    rounded = filters.bfloat16()
    theirs = torch.conv2d(few, rounded, None, stride, 1), *gradients(few, rounded, fewer, stride)
    ours = (
        winograd.output(few, filters, stride),
        winograd.input_gradient(fewer, filters, 8, stride),
        winograd.weight_gradient(few, fewer, 3, stride),
    )
    for mine, other, truth in zip(ours, theirs, (exact, exact_dx, exact_dw), strict=True):
        assert (mine - truth).norm() < 3 * (other - truth).norm()


@needs_pairs
@pytest.mark.parametrize("stride", [1, 2])
def test_the_same_bits_on_any_number_of_threads(stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(9, 64, side, side, generator=generator).bfloat16() for side in (16, 16 // stride))
    x, dy = (m.contiguous(memory_format=torch.channels_last) for m in (x, dy))
    filters = torch.randn(64, 64, 3, 3, generator=generator)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps = winograd.output(x, filters, stride), winograd.input_gradient(dy, filters, 16, stride)
            results.append([*maps, winograd.weight_gradient(x, dy, 3, stride)])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


@needs_pairs
def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    # Every block of a page or more is given back to the system at once: whoever still uses it crashes.
    program = """
import ctypes, torch
from triptych.kernels.conv import winograd_bf16 as winograd
ctypes.CDLL(None).mallopt(-3, 4096)  # M_MMAP_THRESHOLD
x = torch.ones(16, 64, 16, 16, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
filters = torch.ones(64, 64, 3, 3)
for stride in (1, 2):
    y = winograd.output(x, filters, stride)
    winograd.input_gradient(y, filters, 16, stride)
    winograd.weight_gradient(x, y, 3, stride)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("channels_in", "channels", "side", "size", "stride", "suits"),
    [
        (64, 64, 4, 3, 1, True),
        (64, 192, 32, 3, 1, True),
        (64, 64, 2, 3, 1, False),  # a tile has as many products as such a map
        (64, 64, 7, 3, 1, False),
        (64, 128, 8, 3, 2, True),
        (64, 128, 4, 3, 2, False),
        (64, 128, 10, 3, 2, False),
        (64, 64, 12, 3, 3, False),
        (64, 64, 8, 1, 1, False),
        (3, 64, 32, 3, 1, False),
        (64, 96, 32, 3, 1, False),
    ],
)
def test_it_suits_3_x_3_filters_on_maps_that_tiles_cover(
    channels_in: int, channels: int, side: int, size: int, stride: int, suits: bool
) -> None:
    assert winograd.supported(16, channels_in, channels, side, size, stride) == (suits,) * 3


def test_a_few_tiles_are_not_worth_transformed_filters() -> None:
    assert winograd.supported(12, 64, 64, 4, 3, 1) == (True,) * 3
    assert winograd.supported(11, 64, 64, 4, 3, 1) == winograd.supported(0, 64, 64, 4, 3, 1) == (False,) * 3


@needs_pairs
def test_a_layer_takes_it_where_there_are_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "avx512_bf16", "avx512f", "avx2")
    layer = Conv2d(64, 64, 3, padding=1, bias=False)
    x, dy = whole(4, 64, 8, 8, seed=0, most=2).requires_grad_(), whole(4, 64, 8, 8, seed=2, most=1)
    with torch.no_grad():
        layer.weight.copy_(4 * whole(64, 64, 3, 3, seed=1, most=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        with torch.no_grad():
            assert torch.equal(layer(x), y)
    dx, dw = gradients(x.detach(), layer.weight.detach(), dy)
    (slope,) = torch.autograd.grad(y.float().square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x).backward(dy.bfloat16().contiguous())  # not channels_last
    # exact: torch's own would have rounded the filters' gradient
    assert x.grad is not None and layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, dw) and torch.equal(x.grad, dx.bfloat16().float())
    assert torch.equal(y, torch.conv2d(x.detach(), layer.weight.detach(), padding=1).bfloat16())


@needs_pairs
def test_what_does_not_fit_the_filters_is_torchs_to_refuse() -> None:
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(RuntimeError, match="channels"),
    ):
        Conv2d(64, 64, 3, padding=1, bias=False)(torch.zeros(4, 128, 8, 8))
