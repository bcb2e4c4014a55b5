"""The transformer's own kernels give what PyTorch's operations give in float32, up to bfloat16's rounding."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from cpu_features import pretend_cpu_has
from torch import Tensor, nn

from triptych.kernels.attention import op as attention_module
from triptych.kernels.attention.op import attention
from triptych.kernels.linear import avx512_bf16 as pair_linear
from triptych.kernels.linear.amx import weight_gradient
from triptych.kernels.linear.layer import Linear
from triptych.kernels.norm import gelu as gelu_module
from triptych.kernels.norm import layer_norm as layer_norm_module
from triptych.kernels.norm.gelu import GELU
from triptych.kernels.norm.layer_norm import add_layer_norm
from triptych.kernels.registry import supports
from triptych.workflow.devices import has_fast_bfloat16

CPU = torch.device("cpu")
needs_tiles = pytest.mark.skipif(not supports("amx_bf16"), reason="this CPU has no tile registers (AMX)")
needs_pairs = pytest.mark.skipif(
    not supports("avx512_bf16"), reason="this CPU does not multiply pairs (AVX512-BF16)"
)
needs_products = pytest.mark.skipif(not supports("bfloat16"), reason="this CPU has neither tiles nor pairs")
needs_bfloat16 = pytest.mark.skipif(not has_fast_bfloat16(CPU), reason="this CPU has no bfloat16 products")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16().float()


def agree(ours: Tensor, theirs: Tensor, tolerance: float = 0.01) -> None:
    """The mean error is a small share of the numbers' size: bfloat16 has about 1/256."""
    assert ours.shape == theirs.shape and ours.isfinite().all()
    assert (ours.float() - theirs).norm() < tolerance * theirs.norm()


def explicit_attention(qkv: Tensor, heads: int) -> Tensor:
    """Head after head, in float32."""
    q, k, v = qkv.chunk(3, dim=-1)
    width = q.shape[-1] // heads
    out = []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        scores = torch.einsum("nid,njd->nij", q[..., own], k[..., own]) / width**0.5
        out.append(torch.einsum("nij,njd->nid", scores.softmax(dim=-1), v[..., own]))
    return torch.cat(out, dim=-1)


def gradients(function: Callable[..., Tensor], *inputs: Tensor, seed: int = 9) -> list[Tensor]:
    """The output, and the gradient of its product with random numbers by each input."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    (out.float() * normal(*out.shape, seed=seed)).sum().backward()
    return [out.detach(), *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)]


@needs_products
@pytest.mark.parametrize(
    ("n", "tokens", "heads", "width"),
    [(3, 65, 8, 64), (2, 17, 4, 16), (2, 65, 8, 48), (1, 1, 1, 32), (2, 96, 2, 32), (1, 257, 2, 80)],
)
def test_attention_of_any_length_and_width(n: int, tokens: int, heads: int, width: int) -> None:
    qkv = 2 * normal(n, tokens, 3 * heads * width)
    ours = gradients(lambda x: attention(x.bfloat16(), heads), qkv)
    assert attention_module._supported(qkv.bfloat16(), tokens, width, 0.0)
    theirs = gradients(lambda x: explicit_attention(x, heads), qkv)
    for mine, reference in zip(ours, theirs, strict=True):
        agree(mine, reference)


@needs_products
def test_attention_to_one_key_alone_does_not_overflow() -> None:
    qkv = torch.zeros(1, 20, 3 * 32)
    qkv[..., :64] = 30.0
    qkv[0, 5, 32:64] = 90.0  # this key wins by far: scores of 85,000 against 28,000
    qkv[..., 64:] = normal(1, 20, 32)
    out, gradient = gradients(lambda x: attention(x.bfloat16(), 1), qkv)
    agree(out, qkv[:, 5:6, 64:].expand(1, 20, 32))
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_attention_in_float32_is_exact_and_drops_weights_out(dropout: float) -> None:
    qkv = normal(2, 9, 3 * 24)
    out = attention(qkv, 3, dropout=dropout)
    if dropout == 0:
        torch.testing.assert_close(out, explicit_attention(qkv, 3))
    else:
        torch.manual_seed(0)
        mean = torch.stack([attention(qkv, 3, dropout=dropout) for _ in range(2000)]).mean(dim=0)
        agree(mean, explicit_attention(qkv, 3), 0.05)
        assert not torch.equal(out, attention(qkv, 3, dropout=dropout))


class Normalised(nn.Module):
    """What stands before a block: two outputs, in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, stream: Tensor, addend: Tensor | None, shares: Tensor | None) -> list[Tensor]:
        return [x.float() for x in add_layer_norm(self.norm, stream, addend, shares)]


@needs_bfloat16
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("used", [slice(0, 1), slice(1, 2), slice(0, 2)], ids=["stream", "norm", "both"])
def test_a_residual_addition_and_its_norm(adds: bool, used: slice) -> None:
    stream, addend = 3 * normal(5, 7, 48) + 1, normal(5, 7, 48, seed=1)
    shares = torch.tensor([1.0, 0.0, 1.25, 0.0, 1.25]) if adds else None
    weight, bias = normal(48, seed=3), normal(48, seed=4)

    def run(dtype: torch.dtype, *inputs: Tensor) -> Tensor:
        stream, addend, weight, bias = inputs
        weights = {"norm.weight": weight, "norm.bias": bias}
        arguments = (stream, addend.to(dtype) if adds else None, shares)
        return torch.cat(torch.func.functional_call(Normalised(48), weights, arguments)[used])

    def ours(*inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run(torch.bfloat16, *inputs)

    inputs = stream, addend, weight, bias
    for mine, reference in zip(
        gradients(ours, *inputs), gradients(partial(run, torch.float32), *inputs), strict=True
    ):
        agree(mine, reference) if reference.any() else torch.testing.assert_close(mine, reference)


@needs_bfloat16
def test_the_kernel_is_taken_where_it_fits() -> None:
    norm, stream = nn.LayerNorm(8), normal(2, 3, 8)
    assert not layer_norm_module._supported(norm, stream, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer_norm_module._supported(norm, stream, stream.bfloat16())
        assert not layer_norm_module._supported(norm, stream, stream)


def test_without_bfloat16_the_addition_and_the_norm_are_torchs() -> None:
    norm, stream, addend = nn.LayerNorm(8), normal(2, 3, 8), normal(2, 3, 8, seed=1)
    total, y = add_layer_norm(norm, stream, addend, torch.tensor([0.0, 2.0]))
    assert torch.equal(total[0], stream[0]) and torch.equal(total[1], stream[1] + 2 * addend[1])
    assert torch.equal(y, norm(total))
    assert add_layer_norm(norm, stream)[0] is stream


@needs_tiles
@pytest.mark.parametrize(
    ("rows", "channels_in", "channels_out"), [(32, 32, 32), (800, 96, 160), (544, 32, 512)]
)
def test_the_gradient_of_a_linear_layers_weights(rows: int, channels_in: int, channels_out: int) -> None:
    x, dy = normal(rows, channels_in), normal(rows, channels_out, seed=1)
    weight, bias = weight_gradient(x.bfloat16(), dy.bfloat16())
    # products and sums are float32: nothing but their order differs
    torch.testing.assert_close(weight, dy.T @ x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(bias, dy.sum(dim=0), rtol=1e-4, atol=1e-3)


@needs_pairs
@pytest.mark.parametrize(
    ("rows", "channels_in", "channels_out"), [(1, 64, 64), (63, 64, 128), (131, 576, 320), (300, 128, 64)]
)
def test_a_linear_layers_products_by_pairs(rows: int, channels_in: int, channels_out: int) -> None:
    x, dy = normal(rows, channels_in), normal(rows, channels_out, seed=1)
    weight, bias = normal(channels_out, channels_in, seed=2), normal(channels_out, seed=3)
    y = pair_linear.output(x.bfloat16(), weight.bfloat16(), bias)
    dx = pair_linear.input_gradient(dy.bfloat16(), weight.bfloat16())
    # sums are float32; what is stored in bfloat16 is rounded once
    torch.testing.assert_close(y.float(), x @ weight.T + bias, rtol=2**-8, atol=1e-3)
    torch.testing.assert_close(dx.float(), dy @ weight, rtol=2**-8, atol=1e-3)
    d_weight, d_bias = pair_linear.weight_gradient(x.bfloat16(), dy.bfloat16())
    torch.testing.assert_close(d_weight, dy.T @ x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(d_bias, dy.sum(dim=0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "tiles", [pytest.param(True, marks=needs_tiles), pytest.param(False, marks=needs_pairs)]
)
def test_a_linear_layer_under_autocast(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "amx_bf16" if tiles else "avx512_bf16", "avx2")
    torch.manual_seed(0)
    layer = Linear(64, 128)

    def ours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            assert layer._supported(x)
            return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    inputs = normal(4, 16, 64), layer.weight.detach(), layer.bias.detach()
    for mine, reference in zip(
        gradients(ours, *inputs), gradients(nn.functional.linear, *inputs), strict=True
    ):
        agree(mine, reference)


@needs_pairs
def test_a_linear_layer_takes_vectors_and_other_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has(monkeypatch, "avx512_bf16", "avx2")
    torch.manual_seed(0)
    weight, bias = normal(64, 128).t(), normal(128, seed=1)
    for x in (normal(64), normal(64, 9).t(), normal(5, 64, 3).movedim(1, 2)):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        layer = Linear(64, 128).bfloat16()
        layer.weight = nn.Parameter(weight.bfloat16())  # transposed in memory
        layer.bias = nn.Parameter(bias.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            assert layer._supported(leaf)
            y = layer(leaf)
        agree(y.detach(), x @ weight.t() + bias)
        y.float().sum().backward()
        assert leaf.grad is not None and layer.weight.grad is not None
        agree(leaf.grad, weight.sum(dim=0).expand(x.shape))
        agree(layer.weight.grad.float(), x.reshape(-1, 64).sum(dim=0).expand(128, 64))


@needs_pairs
def test_what_does_not_fit_the_weights_is_torchs_to_refuse() -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError, match="shapes"):
        Linear(64, 64)(torch.zeros(8, 128))
    with torch.autocast("cpu", torch.bfloat16):
        layer = Linear(64, 64, bias=False)
        assert not layer._supported(torch.zeros(8, 64)) and layer(torch.zeros(8, 64)).shape == (8, 64)


@needs_products
def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    # Every block of a page or more is given back to the system at once: whoever still uses it crashes.
    program = """
import ctypes, torch
from triptych.kernels.attention.op import attention
from triptych.kernels.linear.layer import Linear
ctypes.CDLL(None).mallopt(-3, 4096)  # M_MMAP_THRESHOLD
layer, x = Linear(192, 192), torch.ones(4, 64, 192, requires_grad=True)
with torch.autocast("cpu", torch.bfloat16):
    assert layer._supported(x)
    attention(layer(x), 2).float().sum().backward()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("tiles", "shape"),
    [
        pytest.param(True, (3, 5, 64), marks=needs_tiles),
        pytest.param(True, (4, 16, 48), marks=needs_tiles),
        pytest.param(False, (4, 16, 64), marks=needs_pairs),  # 96 of the output
        pytest.param(False, (4, 16, 48), marks=needs_pairs),
    ],
)
def test_shapes_that_do_not_fit_take_torchs_linear_layer(
    tiles: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cpu_has(monkeypatch, "amx_bf16" if tiles else "avx512_bf16", "avx2")
    layer = Linear(shape[-1], 96)
    with torch.autocast("cpu", torch.bfloat16):
        assert not layer._supported(torch.zeros(shape))
        assert layer(torch.zeros(shape)).shape == (*shape[:-1], 96)


@needs_bfloat16
def test_gelu_over_the_whole_range() -> None:
    x = torch.linspace(-12, 12, 4001).bfloat16().float()
    ours = gradients(lambda x: GELU()(x.bfloat16()), x)
    theirs = gradients(nn.functional.gelu, x)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.float(), reference, rtol=0.01, atol=1e-5)


@needs_bfloat16
def test_the_kernels_give_the_same_bits_on_any_number_of_threads() -> None:
    norm, layer, x = nn.LayerNorm(64), Linear(64, 320), normal(32, 33, 3 * 64)

    def everything() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):

            def run(x: Tensor, weight: Tensor) -> Tensor:
                _, y = add_layer_norm(norm, x[..., :64].contiguous(), x[..., 64:128].bfloat16())
                if supports("bfloat16"):
                    y = attention(torch.cat([y, y, y], dim=-1), 4)
                return torch.func.functional_call(layer, {"weight": weight}, GELU()(y))

            return gradients(run, x, layer.weight.detach())

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = everything()
        torch.set_num_threads(5)
        five = everything()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, five, strict=True))


def test_a_compiled_graph_takes_torchs_own_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    qkv = normal(1, 4, 96).bfloat16()
    assert not attention_module._supported(qkv, 4, 32, 0.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert not layer_norm_module._supported(nn.LayerNorm(8), normal(1, 2, 8), None)
    monkeypatch.setattr(gelu_module._GELU, "apply", None)
    torch.testing.assert_close(GELU()(qkv), nn.functional.gelu(qkv))
