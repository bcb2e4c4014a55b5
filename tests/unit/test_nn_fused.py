"""Convolutions of small maps and fused batch norm: torch's own operations are the oracle."""

import copy
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from cpu_features import pretend_cpu_has
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from triptych.kernels.conv import amx as tiled_convolution
from triptych.kernels.conv import batched_gemm as small_maps
from triptych.kernels.conv import compiled_amx_weight_gradient as correlation
from triptych.kernels.conv.compiled_amx import connections
from triptych.kernels.conv.layer import Conv2d
from triptych.kernels.norm import batch_norm as normalization
from triptych.kernels.norm.batch_norm import batch_norm
from triptych.kernels.registry import accelerate, supports
from triptych.models.resnet import BasicBlock, ResNet18
from triptych.workflow.devices import has_fast_bfloat16

CPU = torch.device("cpu")
needs_tiles = pytest.mark.skipif(not supports("amx_bf16"), reason="this CPU has no tile registers (AMX)")
needs_float_products = pytest.mark.skipif(not supports("avx2"), reason="this CPU has no AVX2")
needs_bfloat16 = pytest.mark.skipif(not has_fast_bfloat16(CPU), reason="this CPU has no bfloat16 units")

FORMATS = [
    pytest.param(torch.bfloat16, marks=needs_bfloat16),
    pytest.param(torch.float32, marks=needs_float_products),
]


def draw(*shape: int, seed: int = 0) -> Tensor:
    """A channels_last bfloat16 map."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.bfloat16().contiguous(memory_format=torch.channels_last)


@given(st.integers(1, 9), st.sampled_from([1, 3, 5]), st.integers(1, 3))
def test_a_filter_connects_the_positions_that_a_window_covers(side: int, size: int, stride: int) -> None:
    out = (side - 1) // stride + 1
    weight = torch.arange(1.0, size * size + 1).view(1, 1, size, size)
    x = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(side)).double()
    expected = torch.conv2d(x, weight.double(), None, stride, size // 2).flatten()
    of_outputs, of_inputs, of_taps = connections(side, size, stride)
    taps, flat = weight.flatten().double(), x.flatten()
    for position in range(out * out):
        entries = range(of_outputs.starts[position], of_outputs.starts[position + 1])
        total = sum(flat[of_outputs.first[e]] * taps[of_outputs.second[e]] for e in entries)
        assert total == pytest.approx(expected[position].item())
    triples = {
        (int(of_outputs.first[e]), position, int(of_outputs.second[e]))
        for position in range(out * out)
        for e in range(of_outputs.starts[position], of_outputs.starts[position + 1])
    }
    assert triples == {
        (position, int(of_inputs.first[e]), int(of_inputs.second[e]))
        for position in range(side * side)
        for e in range(of_inputs.starts[position], of_inputs.starts[position + 1])
    }
    assert triples == {
        (int(of_taps.first[e]), int(of_taps.second[e]), tap)
        for tap in range(size * size)
        for e in range(of_taps.starts[tap], of_taps.starts[tap + 1])
    }


# images, channels in and out, side, filter, stride
SMALL = [(32, 32, 64, 2, 3, 1), (64, 64, 32, 3, 3, 1), (96, 32, 32, 5, 3, 2), (32, 96, 64, 4, 1, 2)]
LARGE = [(32, 32, 64, 9, 3, 1), (64, 64, 32, 15, 3, 2), (32, 32, 32, 14, 5, 3), (64, 32, 32, 17, 1, 2)]


@pytest.mark.parametrize("way", [small_maps, pytest.param(tiled_convolution, marks=needs_tiles)])
@pytest.mark.parametrize(("n", "channels_in", "channels", "side", "size", "stride"), SMALL + LARGE)
def test_convolutions_equal_torchs_in_float32(
    way: ModuleType, n: int, channels_in: int, channels: int, side: int, size: int, stride: int
) -> None:
    x, filters = draw(n, channels_in, side, side), draw(channels, channels_in, size, size, seed=1)
    expected = torch.conv2d(x.float(), filters.float(), None, stride, size // 2)
    dy = draw(*expected.shape, seed=2)
    dx, dw, _ = torch.ops.aten.convolution_backward(
        dy.float(),
        x.float(),
        filters.float(),
        None,
        [stride] * 2,
        [size // 2] * 2,
        [1, 1],
        False,
        [0, 0],
        1,
        [True, True, False],
    )
    # sums are float32; only what is stored is rounded to bfloat16
    near = {"rtol": 2**-8, "atol": 1e-3}
    torch.testing.assert_close(way.output(x, filters, stride).float(), expected, **near)
    torch.testing.assert_close(way.input_gradient(dy, filters, side, stride).float(), dx, **near)
    found = way.weight_gradient(x, dy, size, stride)
    if found.dtype == torch.float32:
        near = {"rtol": 1e-4, "atol": 1e-3}
    torch.testing.assert_close(found.float(), dw, **near)


@needs_tiles
def test_a_filter_gradient_over_many_images_is_summed_in_pieces() -> None:
    x, dy = draw(2048, 32, 6, 6), draw(2048, 32, 6, 6, seed=1)
    assert correlation.PANEL < 2 * correlation.TILE * 36 * 2048 // 32, "one piece would do"
    _, expected, _ = torch.ops.aten.convolution_backward(
        dy.float(), x.float(), torch.empty(32, 32, 3, 3), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
        [False, True, False],
    )  # fmt: skip
    torch.testing.assert_close(tiled_convolution.weight_gradient(x, dy, 3, 1), expected, rtol=1e-3, atol=1e-2)


@needs_tiles
def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    # Every block of a page or more is given back to the system at once: whoever still uses it crashes.
    program = """
import ctypes, torch
from triptych.kernels.registry import accelerate, supports
from triptych.kernels.conv.amx import weight_gradient, output
assert supports("amx_bf16")
ctypes.CDLL(None).mallopt(-3, 4096)  # M_MMAP_THRESHOLD
for side in (2, 8):
    x = torch.ones(64, 32, side, side, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    filters = torch.ones(32, 32, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    y = output(x, filters, 1)
    gradient = weight_gradient(x, y, 3, 1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def convolution(channels_in: int, channels: int) -> Conv2d:
    return Conv2d(channels_in, channels, 3, padding=1, bias=False)


def train_step(model: nn.Module, x: Tensor, *, threads: int = 1) -> list[Tensor]:
    """The output, the gradients and the running statistics of one step under autocast."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    model = copy.deepcopy(model).train()
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
    y.float().square().mean().backward()
    torch.set_num_threads(before)
    assert x.grad is not None
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [y.detach().float(), x.grad, *gradients, *(b.clone().float() for b in model.buffers())]


def encoder() -> ResNet18:
    torch.manual_seed(0)
    return ResNet18(width=32).to(memory_format=torch.channels_last)


@needs_tiles
def test_the_same_bits_on_any_number_of_threads() -> None:
    x = torch.randn(64, 32, 8, 8).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)
    block = accelerate(BasicBlock(32, 64, stride=2))
    one, three = train_step(block, x), train_step(block, x, threads=3)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("tiles", [False, pytest.param(True, marks=needs_tiles)])
@needs_bfloat16
def test_a_network_of_them_agrees_with_torchs_to_the_rounding_of_bfloat16(
    tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cpu_has(monkeypatch, "amx_bf16" if tiles else "avx512_bf16", "avx2")
    x = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    fast = train_step(accelerate(encoder()), x)
    exact_model, inputs = encoder().train(), x.clone().requires_grad_()
    y = exact_model(inputs)
    y.square().mean().backward()
    exact = [y.detach(), inputs.grad, *(p.grad for p in exact_model.parameters())]
    exact += [b.float() for b in exact_model.buffers()]
    plain = train_step(encoder(), x)

    def distance(values: list[Tensor]) -> list[float]:
        return [
            ((a - b).norm() / (b.norm() + 1e-12)).item()
            for a, b in zip(values, exact, strict=True)
            if b is not None
        ]

    for ours, theirs in zip(distance(fast), distance(plain), strict=True):
        assert ours < 1.5 * theirs + 1e-3


@needs_bfloat16
@pytest.mark.parametrize("tiles", [False, pytest.param(True, marks=needs_tiles)])
def test_what_does_not_suit_is_torchs_own_convolution(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "amx_bf16" if tiles else "avx512_bf16", "avx2")
    layer = convolution(128, 128).to(memory_format=torch.channels_last)
    small = torch.randn(32, 128, 2, 2).contiguous(memory_format=torch.channels_last)

    def ours(x: Tensor) -> bool:
        return type(layer(x).grad_fn).__name__ == "_ConvolutionBackward"

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(small)
        assert not ours(small[:, :, :1])  # not square
        assert ours(small[:31])  # not in tiles, which hold 16 or 32 images
        assert ours(small.repeat(1, 1, 6, 6)[:, :, :11, :11]) == tiles  # a large map that Winograd's tiles do not fit
        torch.relu_(layer(small)).sum().backward()  # may be changed in place, as torch's own
    assert layer.state_dict().keys() == {"weight"}


@needs_bfloat16
def test_gradients_are_right_where_one_is_ours_and_the_other_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "avx512_bf16", "avx2")
    x = draw(8, 128, 4, 4)  # the filters' gradient is ours there, the input's is torch's
    layer = convolution(128, 128)
    expected = convolution(128, 128)
    expected.load_state_dict(layer.state_dict())
    for frozen in (False, True):
        layer.weight.requires_grad_(not frozen)
        inputs, others = (x.float().requires_grad_(frozen) for _ in range(2))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer(inputs).float().square().mean().backward()
        torch.conv2d(others, expected.weight, None, 1, 1).square().mean().backward()
        mine, theirs = (inputs.grad, others.grad) if frozen else (layer.weight.grad, expected.weight.grad)
        assert mine is not None and theirs is not None
        assert (mine - theirs).norm() < 0.01 * theirs.norm()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("shortcut", "relu"), [(False, False), (False, True), (True, True)])
def test_fused_batch_norm_equals_torchs_in_float64(shortcut: bool, relu: bool, dtype: torch.dtype) -> None:
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


@needs_bfloat16
def test_a_compiled_network_is_the_compilers_own_in_one_graph() -> None:
    torch.compiler.reset()
    block = accelerate(BasicBlock(32, 64, stride=2)).to(memory_format=torch.channels_last)
    compiled = torch.compile(block, backend="eager", fullgraph=True, dynamic=False)
    x = torch.randn(32, 32, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        compiled(x).float().square().mean().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())


@needs_bfloat16
def test_running_statistics_may_be_plain_averages() -> None:
    norm, reference = nn.BatchNorm2d(16, momentum=None), nn.BatchNorm2d(16, momentum=None)
    for seed in range(3):
        x = draw(8, 16, 4, 4, seed=seed).requires_grad_()
        batch_norm(norm, x, relu=True)
        reference(x.float())
    torch.testing.assert_close(norm.running_mean, reference.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, reference.running_var, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("shortcut", "relu"), [(False, False), (False, True), (True, True)])
def test_evaluation_without_gradients_equals_torchs_in_float64(
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


def test_evaluation_with_gradients_other_layouts_and_formats_are_torchs_own_operations() -> None:
    norm, x = nn.BatchNorm2d(8), torch.randn(4, 8, 3, 3)
    expected = torch.relu(copy.deepcopy(norm)(x) + x)
    assert torch.equal(batch_norm(norm, x, x, relu=True), expected)  # not channels_last
    norm.eval()
    x = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch_norm(norm, x, relu=True), torch.relu(norm(x)))
    norm, x = nn.BatchNorm2d(8).double(), x.double()
    assert torch.equal(batch_norm(copy.deepcopy(norm), x, relu=True), torch.relu(norm(x)))
