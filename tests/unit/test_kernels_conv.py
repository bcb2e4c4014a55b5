"""Convolutions as products over the batch, and `Conv2d` of all backends, against PyTorch's own in float32."""

import copy
from types import ModuleType

import pytest
import torch
from cpu_features import pretend_cpu_has
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import (
    assert_scratch_memory_is_kept,
    bfloat16_tier,
    channels_last,
    error,
    normal,
    on_threads,
)
from torch import Tensor, nn

from triptych.kernels import gemm
from triptych.kernels.conv import amx, batched_gemm
from triptych.kernels.conv.batched_gemm import connections
from triptych.kernels.conv.layer import Conv2d
from triptych.kernels.registry import accelerate
from triptych.models.resnet import BasicBlock, ResNet18

__all__ = ["bfloat16_tier"]
pytestmark = pytest.mark.usefixtures("bfloat16_tier")
BACKENDS = [batched_gemm, *([amx] if gemm.AMX else [])]


def draw(*shape: int, seed: int = 0) -> Tensor:
    """A channels_last bfloat16 map."""
    return channels_last(normal(*shape, seed=seed).bfloat16())


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


# images, channels in and out, side, size of the kernel, stride
SMALL = [(32, 32, 64, 2, 3, 1), (64, 64, 32, 3, 3, 1), (96, 32, 32, 5, 3, 2), (32, 96, 64, 4, 1, 2)]
LARGE = [(32, 32, 64, 9, 3, 1), (64, 64, 32, 15, 3, 2), (32, 32, 32, 14, 5, 3), (64, 32, 32, 17, 1, 2)]


def reference(x: Tensor, weights: Tensor, dy: Tensor, stride: int) -> list[Tensor]:
    """PyTorch's own output, input gradient and weight gradient in float32."""
    x, weights, dy, padding = x.float(), weights.float(), dy.float(), weights.shape[2] // 2
    dx, dw, _ = torch.ops.aten.convolution_backward(
        dy, x, weights, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [True, True, False]
    )
    return [torch.conv2d(x, weights, None, stride, padding), dx, dw]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "channels_in", "channels", "side", "size", "stride"), SMALL + LARGE)
def test_products_over_the_batch_equal_pytorchs_convolutions(
    backend: ModuleType, n: int, channels_in: int, channels: int, side: int, size: int, stride: int
) -> None:
    x, weights = draw(n, channels_in, side, side), draw(channels, channels_in, size, size, seed=1)
    out = (side - 1) // stride + 1
    dy = draw(n, channels, out, out, seed=2)
    y, dx, dw = reference(x, weights, dy, stride)
    # sums are float32; only what is stored is rounded to bfloat16
    near = {"rtol": 2**-8, "atol": 1e-3}
    torch.testing.assert_close(backend.output(x, weights, stride).float(), y, **near)
    torch.testing.assert_close(backend.input_gradient(dy, weights, side, stride).float(), dx, **near)
    found = backend.weight_gradient(x, dy, size, stride)
    if found.dtype == torch.float32:
        near = {"rtol": 1e-4, "atol": 1e-3}
    torch.testing.assert_close(found.float(), dw, **near)


def test_a_weight_gradient_over_many_images_is_summed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, dy = draw(160, 32, 6, 6), draw(160, 32, 6, 6, seed=1)
    monkeypatch.setattr(amx, "PANEL", 2 * amx.BLOCK * 36)  # two of five blocks of images at a time
    for backend in BACKENDS:
        found = backend.weight_gradient(x, dy, 3, 1).float()
        assert error(found, reference(x, draw(32, 32, 3, 3), dy, 1)[2]) < 3e-3


def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    backend = "amx" if gemm.AMX else "batched_gemm"
    assert_scratch_memory_is_kept(f"""
import torch
from triptych.kernels.conv import {backend} as backend
for side in (2, 8):
    x = torch.ones(32, 32, side, side, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    weights = torch.ones(32, 32, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    y = backend.output(x, weights, 1)
    backend.weight_gradient(x, y, 3, 1)
""")


def convolution(channels_in: int, channels: int) -> Conv2d:
    return Conv2d(channels_in, channels, 3, padding=1, bias=False)


def by_a_backend(layer: Conv2d, x: Tensor) -> bool:
    """Whether a backend computes some of the layer's products."""
    return type(layer(x).grad_fn).__name__ == "_ConvolutionBackward"


def train_step(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, the gradients and the running statistics of one step under autocast."""
    model = copy.deepcopy(model).train()
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
    y.float().square().mean().backward()
    assert x.grad is not None
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [y.detach().float(), x.grad, *gradients, *(b.clone().float() for b in model.buffers())]


def encoder(width: int) -> ResNet18:
    torch.manual_seed(0)
    return ResNet18(width=width).to(memory_format=torch.channels_last)


def test_convolutions_give_the_same_bits_on_any_number_of_threads() -> None:
    x = channels_last(normal(32, 64, 8, 8))
    torch.manual_seed(0)
    convolutions = nn.Sequential(
        nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False), nn.Conv2d(64, 64, 3, padding=1, bias=False)
    )
    block = accelerate(convolutions.to(memory_format=torch.channels_last))
    one, three = (on_threads(count, lambda: train_step(block, x)) for count in (1, 3))
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


def test_a_network_agrees_with_pytorchs_to_the_rounding_of_bfloat16() -> None:
    x = channels_last(normal(32, 3, 16, 16))
    exact_model, inputs = encoder(32).train(), x.clone().requires_grad_()
    y = exact_model(inputs)
    y.square().mean().backward()
    exact = [y.detach(), inputs.grad, *(p.grad for p in exact_model.parameters())]
    exact += [b.float() for b in exact_model.buffers()]

    def errors(values: list[Tensor]) -> list[float]:
        pairs = zip(values, exact, strict=True)
        return [error(a, b) if b.any() else a.norm().item() for a, b in pairs if b is not None]

    fast, plain = train_step(accelerate(encoder(32)), x), train_step(encoder(32), x)
    for found, other in zip(errors(fast), errors(plain), strict=True):
        assert found < 1.5 * other + 1e-3


def test_a_float32_network_trains_by_the_gradients_of_pytorchs_own() -> None:
    plain = encoder(64).train()
    model = accelerate(copy.deepcopy(plain))
    plain.double()
    x = channels_last(normal(48, 3, 16, 16))
    model(x).square().mean().backward()
    plain(x.double()).square().mean().backward()
    for (name, found), exact in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert found.grad is not None and exact.grad is not None
        # PyTorch's own float32 is off by up to 5e-3: next to zero, ReLU's slope may be another one
        assert error(found.grad, exact.grad) < 2e-2, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "channels", "side"), [(32, 64, 8), (32, 128, 2)])
def test_a_layer_uses_a_backend_and_gives_pytorchs_gradients(
    dtype: torch.dtype, n: int, channels: int, side: int
) -> None:
    layer = convolution(channels, channels)
    x, dy = channels_last(normal(n, channels, side, side)), normal(n, channels, side, side, seed=1).to(dtype)
    weight = layer.weight.detach()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert by_a_backend(layer, x)
        y = layer(leaf := x.clone().requires_grad_())
        y.backward(dy)  # not channels_last
    found = [y.detach(), leaf.grad, layer.weight.grad]
    for mine, exact in zip(found, reference(x.to(dtype), weight.to(dtype), dy, 1), strict=True):
        assert mine is not None
        assert error(mine.float(), exact) < (1e-5 if dtype == torch.float32 else 1e-2)
    assert layer.state_dict().keys() == {"weight"}


def test_a_layer_is_differentiable_once() -> None:
    layer, x = convolution(64, 64), channels_last(normal(16, 64, 8, 8)).requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_unsupported_shapes_are_pytorchs_own_convolution() -> None:
    layer, small = convolution(128, 128), channels_last(normal(32, 128, 2, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert by_a_backend(layer, small)
        assert not by_a_backend(layer, small[:, :, :1])  # not square
        assert by_a_backend(layer, small[:31])  # AMX's tiles hold 16 or 32 images: batched products
        large = small.repeat(1, 1, 6, 6)[:, :, :11, :11]  # Winograd's tiles do not cover it
        assert by_a_backend(layer, large) == gemm.AMX
        torch.relu_(layer(small)).sum().backward()  # may be changed in place, as PyTorch's own
        with pytest.raises(RuntimeError, match="channels"):
            layer(torch.zeros(4, 64, 8, 8))


def test_unsupported_number_formats_and_cpus_are_pytorchs_own_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = channels_last(normal(16, 64, 8, 8))
    assert not by_a_backend(convolution(64, 64).double(), x.double())
    with torch.autocast("cpu", dtype=torch.float16):
        assert not by_a_backend(convolution(64, 64), x)
    with pytest.raises(RuntimeError, match="type"):
        convolution(64, 64)(x.bfloat16())  # without autocast
    pretend_cpu_has(monkeypatch)
    assert not by_a_backend(convolution(64, 64), x)


def test_gradients_are_right_where_one_is_a_backends_and_the_other_pytorchs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_cpu_has(monkeypatch, "avx512_bf16", "avx2")
    x = draw(8, 128, 4, 4)  # batched_gemm has the weight gradient only
    layer = convolution(128, 128)
    expected = copy.deepcopy(layer)
    for frozen in (False, True):
        layer.weight.requires_grad_(not frozen)
        inputs, others = (x.float().requires_grad_(frozen) for _ in range(2))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer(inputs).float().square().mean().backward()
        torch.conv2d(others, expected.weight, None, 1, 1).square().mean().backward()
        mine, theirs = (inputs.grad, others.grad) if frozen else (layer.weight.grad, expected.weight.grad)
        assert mine is not None and theirs is not None and error(mine, theirs) < 0.01


def test_a_compiled_network_is_the_compilers_own_in_one_graph() -> None:
    torch.compiler.reset()
    block = accelerate(BasicBlock(32, 64, stride=2)).to(memory_format=torch.channels_last)
    compiled = torch.compile(block, backend="eager", fullgraph=True, dynamic=False)
    x = torch.randn(32, 32, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        compiled(x).float().square().mean().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
