"""3 x 3 convolutions in float32 by Winograd's filtering: torch's own, in float64, are the oracle."""

import copy
import subprocess
import sys

import pytest
import torch
from cpu_features import pretend_cpu_has
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from triptych.kernels.conv import winograd_fp32 as winograd_float32
from triptych.kernels.conv.layer import Conv2d
from triptych.kernels.registry import accelerate, supports
from triptych.models.resnet import ResNet18

needs_products = pytest.mark.skipif(not supports("avx2"), reason="this CPU has no AVX2")
CHANNELS = st.sampled_from([64, 128, 192])


def draw(*shape: int, seed: int) -> Tensor:
    """A channels_last map of normal numbers."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return numbers.contiguous(memory_format=torch.channels_last)


def gradients(x: Tensor, filters: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of torch's own convolution."""
    dx, dw, _ = torch.ops.aten.convolution_backward(
        dy, x, filters, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
    )
    return dx, dw


def error(found: Tensor, exact: Tensor) -> float:
    """The norm of the difference over the norm of what is right."""
    return ((found - exact).norm() / exact.norm()).item()


@needs_products
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), CHANNELS, CHANNELS, st.sampled_from([4, 8, 12]), st.integers(0, 99))
def test_results_have_five_digits(n: int, channels_in: int, channels: int, side: int, seed: int) -> None:
    x, dy = draw(n, channels_in, side, side, seed=seed), draw(n, channels, side, side, seed=seed + 1)
    filters = draw(channels, channels_in, 3, 3, seed=seed + 2)
    exact = torch.conv2d(x.double(), filters.double(), None, 1, 1)
    dx, dw = gradients(x.double(), filters.double(), dy.double())
    assert error(winograd_float32.output(x, filters, 1), exact) < 1e-5
    assert error(winograd_float32.input_gradient(dy, filters, side, 1), dx) < 1e-5
    assert error(winograd_float32.weight_gradient(x, dy, 3, 1), dw) < 1e-5


@needs_products
def test_a_filter_gradient_over_many_tiles_is_summed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, dy = draw(40, 64, 8, 8, seed=0), draw(40, 128, 8, 8, seed=1)
    _, exact = gradients(x.double(), torch.empty(128, 64, 3, 3).double(), dy.double())
    # 160 tiles are 50 and 50 and 50 and 10
    monkeypatch.setattr(winograd_float32, "CHUNK", 36 * (64 + 128) * 50)
    assert error(winograd_float32.weight_gradient(x, dy, 3, 1), exact) < 1e-5


@needs_products
def test_the_same_bits_on_any_number_of_threads() -> None:
    x, dy = draw(9, 64, 16, 16, seed=0), draw(9, 64, 16, 16, seed=1)
    filters = draw(64, 64, 3, 3, seed=2)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps = (
                winograd_float32.output(x, filters, 1),
                winograd_float32.input_gradient(dy, filters, 16, 1),
            )
            results.append([*maps, winograd_float32.weight_gradient(x, dy, 3, 1)])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


@needs_products
def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    # Every block of a page or more is given back to the system at once: whoever still uses it crashes.
    program = """
import ctypes, torch
from triptych.kernels.conv import winograd_fp32 as way
ctypes.CDLL(None).mallopt(-3, 4096)  # M_MMAP_THRESHOLD
x = torch.ones(16, 64, 16, 16).contiguous(memory_format=torch.channels_last)
filters = torch.ones(64, 64, 3, 3)
y = way.output(x, filters, 1)
way.input_gradient(y, filters, 16, 1)
way.weight_gradient(x, y, 3, 1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("n", "channels_in", "channels", "side", "size", "stride", "suits"),
    [
        (48, 64, 64, 4, 3, 1, True),
        (47, 64, 64, 4, 3, 1, False),  # too few tiles to be worth transformed filters
        (16, 64, 192, 32, 3, 1, True),
        (16, 64, 64, 2, 3, 1, False),
        (16, 64, 64, 6, 3, 1, False),  # tiles do not cover it
        (16, 64, 128, 8, 3, 2, False),
        (16, 64, 64, 8, 1, 1, False),
        (16, 3, 64, 32, 3, 1, False),
        (16, 64, 96, 32, 3, 1, False),
    ],
)
def test_it_suits_3_x_3_filters_on_maps_that_tiles_cover(
    n: int, channels_in: int, channels: int, side: int, size: int, stride: int, suits: bool
) -> None:
    assert winograd_float32.supported(n, channels_in, channels, side, size, stride) == (suits,) * 3


def is_ours(layer: Conv2d, x: Tensor) -> bool:
    """Whether a way of ours does some of the layer's work."""
    return type(layer(x).grad_fn).__name__ == "_ConvolutionBackward"


@needs_products
def test_a_layer_takes_it_in_float32() -> None:
    layer = Conv2d(64, 64, 3, padding=1, bias=False)
    x, dy = draw(12, 64, 8, 8, seed=0).requires_grad_(), draw(12, 64, 8, 8, seed=1)
    y = layer(x)
    with torch.no_grad():
        assert torch.equal(layer(x), y)
    assert is_ours(layer, x)
    y.backward(dy.contiguous())  # not channels_last
    dx, dw = gradients(x.detach().double(), layer.weight.detach().double(), dy.double())
    assert x.grad is not None and layer.weight.grad is not None
    assert error(x.grad, dx) < 1e-5 and error(layer.weight.grad, dw) < 1e-5


@needs_products
def test_small_maps_are_plain_products_in_float32_too() -> None:
    layer = Conv2d(128, 128, 3, padding=1, bias=False)
    x, dy = draw(8, 128, 2, 2, seed=0).requires_grad_(), draw(8, 128, 2, 2, seed=1)
    assert is_ours(layer, x)
    layer(x).backward(dy)
    dx, dw = gradients(x.detach().double(), layer.weight.detach().double(), dy.double())
    assert x.grad is not None and layer.weight.grad is not None
    assert error(x.grad, dx) < 1e-6 and error(layer.weight.grad, dw) < 1e-6


def test_other_formats_and_cpus_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    x = draw(16, 64, 8, 8, seed=0)
    assert not is_ours(Conv2d(64, 64, 3, padding=1, bias=False).double(), x.double())
    with torch.autocast("cpu", dtype=torch.float16):
        assert not is_ours(Conv2d(64, 64, 3, padding=1, bias=False), x)
    with pytest.raises(RuntimeError, match="type"):
        Conv2d(64, 64, 3, padding=1, bias=False)(x.bfloat16())  # without autocast
    pretend_cpu_has(monkeypatch)
    assert not is_ours(Conv2d(64, 64, 3, padding=1, bias=False), x)


@needs_products
def test_a_network_trains_by_the_gradients_of_torchs_own() -> None:
    torch.manual_seed(0)
    reference = ResNet18(width=64).to(memory_format=torch.channels_last).train()
    model = accelerate(copy.deepcopy(reference))
    reference.double()
    x = draw(48, 3, 16, 16, seed=0)
    model(x).square().mean().backward()
    reference(x.double()).square().mean().backward()
    for (name, ours), exact in zip(model.named_parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None and exact.grad is not None
        # torch's own float32 is off by up to 5e-3: next to zero, ReLU's slope may be another one
        assert error(ours.grad, exact.grad) < 2e-2, name
