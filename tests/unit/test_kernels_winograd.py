"""3 x 3 convolutions by Winograd's minimal filtering against PyTorch's own, in bfloat16 and float32."""

from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import assert_scratch_memory_is_kept, channels_last, error, normal, on_threads
from torch import Tensor

from triptych.kernels.conv import winograd_bf16, winograd_fp32
from triptych.kernels.conv.winograd_transforms import INPUTS, KERNELS, OUTPUTS, line_sums

CHANNELS = st.sampled_from([64, 128, 192])
SIDES = st.sampled_from([(4, 1), (6, 1), (10, 1), (8, 2), (12, 2)])  # with strides


def whole(*shape: int, seed: int, most: int) -> Tensor:
    """A map of whole numbers: their transforms and sums are exact in bfloat16 and float32."""
    generator = torch.Generator().manual_seed(seed)
    return channels_last(torch.randint(-most, most + 1, shape, generator=generator).float())


def draw(*shape: int, seed: int) -> Tensor:
    """A map of normal numbers."""
    return channels_last(normal(*shape, seed=seed))


def reference(x: Tensor, weights: Tensor, dy: Tensor, stride: int = 1) -> list[Tensor]:
    """PyTorch's own output, input gradient and weight gradient."""
    dx, dw, _ = torch.ops.aten.convolution_backward(
        dy, x, weights, None, [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
    )
    return [torch.conv2d(x, weights, None, stride, 1), dx, dw]


def products(backend: ModuleType, x: Tensor, weights: Tensor, dy: Tensor, stride: int = 1) -> list[Tensor]:
    """The same by a backend."""
    return [
        backend.output(x, weights, stride),
        backend.input_gradient(dy, weights, x.shape[2], stride),
        backend.weight_gradient(x, dy, 3, stride),
    ]


@pytest.mark.parametrize(("line", "tile"), [(4, 2), (6, 4), (5, 2)])
def test_the_matrices_give_the_correlation_of_a_line_with_three_taps(line: int, tile: int) -> None:
    rng = np.random.default_rng(0)
    stride = 2 if line == 5 else 1
    x, w = rng.standard_normal(line), rng.standard_normal(3)
    found = OUTPUTS[line, tile] @ (np.array(KERNELS[line]) @ w * (np.array(INPUTS[line, line]) @ x))
    assert np.allclose(found, [x[i * stride : i * stride + 3] @ w for i in range(tile)])


@pytest.mark.parametrize("window", [4, 5])
def test_lines_of_inputs_as_sums_of_two(window: int) -> None:
    x = np.random.default_rng(0).standard_normal(window)
    first, second, factor = line_sums(INPUTS[window, window])
    assert np.allclose(x[first] + factor * x[second], np.array(INPUTS[window, window]) @ x)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 7), CHANNELS, CHANNELS, SIDES)
def test_in_bfloat16_every_result_of_whole_numbers_is_exact(
    n: int, channels_in: int, channels: int, side_and_stride: tuple[int, int]
) -> None:
    side, stride = side_and_stride
    x = whole(n, channels_in, side, side, seed=0, most=2)
    dy = whole(n, channels, side // stride, side // stride, seed=1, most=2)
    weights = 4 * whole(channels, channels_in, 3, 3, seed=2, most=1)  # halved twice
    y, dx, dw = reference(x, weights, dy, stride)
    found = products(winograd_bf16, x.bfloat16(), weights, dy.bfloat16(), stride)
    assert torch.equal(found[0], y.bfloat16()) and torch.equal(found[1], dx.bfloat16())
    assert torch.equal(found[2], dw)


@pytest.mark.parametrize("stride", [1, 2])
def test_rounding_to_bfloat16_costs_at_most_three_times_as_much_as_in_a_plain_convolution(
    stride: int,
) -> None:
    x, dy, weights = (
        draw(8, 256, 8, 8, seed=0).bfloat16(),
        draw(8, 256, 8 // stride, 8 // stride, seed=1).bfloat16(),
        draw(256, 256, 3, 3, seed=2),
    )
    exact = reference(x.double(), weights.double(), dy.double(), stride)
    plain = reference(x, weights.bfloat16(), dy, stride)
    for found, other, truth in zip(
        products(winograd_bf16, x, weights, dy, stride), plain, exact, strict=True
    ):
        assert error(found, truth) < 3 * error(other, truth)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 7), CHANNELS, CHANNELS, st.sampled_from([4, 8, 12]), st.integers(0, 99))
def test_float32_results_have_five_digits(
    n: int, channels_in: int, channels: int, side: int, seed: int
) -> None:
    x, dy = draw(n, channels_in, side, side, seed=seed), draw(n, channels, side, side, seed=seed + 1)
    weights = draw(channels, channels_in, 3, 3, seed=seed + 2)
    exact = reference(x.double(), weights.double(), dy.double())
    for found, truth in zip(products(winograd_fp32, x, weights, dy), exact, strict=True):
        assert error(found, truth) < 1e-5


def test_a_float32_weight_gradient_over_many_tiles_is_summed_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, dy = draw(40, 64, 8, 8, seed=0), draw(40, 128, 8, 8, seed=1)
    exact = reference(x.double(), torch.zeros(128, 64, 3, 3).double(), dy.double())[2]
    # 160 tiles are 50 and 50 and 50 and 10
    monkeypatch.setattr(winograd_fp32, "CHUNK", 36 * (64 + 128) * 50)
    assert error(winograd_fp32.weight_gradient(x, dy, 3, 1), exact) < 1e-5


@pytest.mark.parametrize(("backend", "stride"), [(winograd_bf16, 1), (winograd_bf16, 2), (winograd_fp32, 1)])
def test_the_same_bits_on_any_number_of_threads(backend: ModuleType, stride: int) -> None:
    x, dy = draw(9, 64, 16, 16, seed=0), draw(9, 64, 16 // stride, 16 // stride, seed=1)
    if backend is winograd_bf16:
        x, dy = x.bfloat16(), dy.bfloat16()
    weights = draw(64, 64, 3, 3, seed=2)
    one, three = (on_threads(count, lambda: products(backend, x, weights, dy, stride)) for count in (1, 3))
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    assert_scratch_memory_is_kept("""
import torch
from triptych.kernels.conv import winograd_bf16, winograd_fp32
weights = torch.ones(64, 64, 3, 3)
for backend, dtype, stride in (
    (winograd_bf16, torch.bfloat16, 1), (winograd_bf16, torch.bfloat16, 2), (winograd_fp32, torch.float32, 1)
):
    x = torch.ones(16, 64, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    y = backend.output(x, weights, stride)
    backend.input_gradient(y, weights, 16, stride)
    backend.weight_gradient(x, y, 3, stride)
""")


@pytest.mark.parametrize(
    ("n", "channels_in", "channels", "side", "size", "stride", "bfloat16", "float32"),
    [
        (16, 64, 192, 32, 3, 1, True, True),
        (48, 64, 64, 4, 3, 1, True, True),
        (47, 64, 64, 4, 3, 1, True, False),  # too few tiles to be worth transformed weights
        (11, 64, 64, 4, 3, 1, False, False),
        (0, 64, 64, 4, 3, 1, False, False),
        (16, 64, 64, 2, 3, 1, False, False),  # a tile has as many products as such a map
        (16, 64, 64, 6, 3, 1, True, False),  # tiles of 4 x 4 do not cover it
        (16, 64, 64, 7, 3, 1, False, False),
        (16, 64, 128, 8, 3, 2, True, False),
        (16, 64, 128, 4, 3, 2, False, False),
        (16, 64, 128, 10, 3, 2, False, False),
        (16, 64, 64, 12, 3, 3, False, False),
        (16, 64, 64, 8, 1, 1, False, False),
        (16, 3, 64, 32, 3, 1, False, False),
        (16, 64, 96, 32, 3, 1, False, False),
    ],
)
def test_which_shapes_are_supported(
    n: int, channels_in: int, channels: int, side: int, size: int, stride: int, bfloat16: bool, float32: bool
) -> None:
    shape = n, channels_in, channels, side, size, stride
    assert winograd_bf16.supported(*shape) == (bfloat16,) * 3
    assert winograd_fp32.supported(*shape) == (float32,) * 3
