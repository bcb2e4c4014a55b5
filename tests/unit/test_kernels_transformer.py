"""The transformer's kernels give what PyTorch's operations give in float32, up to bfloat16's rounding."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from kernel_cases import assert_scratch_memory_is_kept, bfloat16_tier, on_threads
from kernel_cases import normal as normal_float32
from torch import Tensor, nn

from triptych.kernels.attention import op as attention_module
from triptych.kernels.attention.op import attention
from triptych.kernels.linear import kernel as linear
from triptych.kernels.linear.layer import Linear
from triptych.kernels.norm import layer_norm as layer_norm_module
from triptych.kernels.norm.layer_norm import add_layer_norm

__all__ = ["bfloat16_tier"]
pytestmark = pytest.mark.usefixtures("bfloat16_tier")


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Numbers that bfloat16 holds."""
    return normal_float32(*shape, seed=seed).bfloat16().float()


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


@pytest.mark.parametrize(
    ("n", "tokens", "heads", "width"),
    [(3, 65, 8, 64), (2, 17, 4, 16), (2, 65, 8, 48), (1, 1, 1, 32), (2, 96, 2, 32), (1, 257, 2, 80)],
)
def test_attention_of_any_length_and_width(n: int, tokens: int, heads: int, width: int) -> None:
    qkv = 2 * normal(n, tokens, 3 * heads * width)
    ours = gradients(lambda x: attention(x.bfloat16(), heads), qkv)
    assert attention_module._supported(qkv.bfloat16(), tokens, width)
    theirs = gradients(lambda x: explicit_attention(x, heads), qkv)
    for mine, reference in zip(ours, theirs, strict=True):
        agree(mine, reference)


def test_attention_to_one_key_alone_does_not_overflow() -> None:
    qkv = torch.zeros(1, 20, 3 * 32)
    qkv[..., :64] = 30.0
    qkv[0, 5, 32:64] = 90.0  # this key wins by far: scores of 85,000 against 28,000
    qkv[..., 64:] = normal(1, 20, 32)
    out, gradient = gradients(lambda x: attention(x.bfloat16(), 1), qkv)
    agree(out, qkv[:, 5:6, 64:].expand(1, 20, 32))
    assert gradient.isfinite().all()


def test_attention_in_float32_is_exact() -> None:
    qkv = normal(2, 9, 3 * 24)
    torch.testing.assert_close(attention(qkv, 3), explicit_attention(qkv, 3))


class Normalised(nn.Module):
    """What stands before a block: two outputs, in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, stream: Tensor, addend: Tensor | None, shares: Tensor | None) -> list[Tensor]:
        return [x.float() for x in add_layer_norm(self.norm, stream, addend, shares)]


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


def test_the_kernel_is_used_where_it_is_supported() -> None:
    norm, stream = nn.LayerNorm(8), normal(2, 3, 8)
    assert not layer_norm_module._supported(norm, stream, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer_norm_module._supported(norm, stream, stream.bfloat16())
        assert not layer_norm_module._supported(norm, stream, stream)


def test_in_float32_the_addition_and_the_norm_are_pytorchs() -> None:
    norm, stream, addend = nn.LayerNorm(8), normal(2, 3, 8), normal(2, 3, 8, seed=1)
    total, y = add_layer_norm(norm, stream, addend, torch.tensor([0.0, 2.0]))
    assert torch.equal(total[0], stream[0]) and torch.equal(total[1], stream[1] + 2 * addend[1])
    assert torch.equal(y, norm(total))
    assert add_layer_norm(norm, stream)[0] is stream


@pytest.mark.parametrize(
    ("rows", "channels_in", "channels_out"), [(1, 64, 64), (63, 64, 128), (131, 576, 320), (300, 128, 64)]
)
def test_a_linear_layers_products(rows: int, channels_in: int, channels_out: int) -> None:
    x, dy = normal(rows, channels_in), normal(rows, channels_out, seed=1)
    weight, bias = normal(channels_out, channels_in, seed=2), normal(channels_out, seed=3)
    y = linear.output(x.bfloat16(), weight.bfloat16(), bias)
    dx = linear.input_gradient(dy.bfloat16(), weight.bfloat16())
    # sums are float32; what is stored in bfloat16 is rounded once
    torch.testing.assert_close(y.float(), x @ weight.T + bias, rtol=2**-8, atol=1e-3)
    torch.testing.assert_close(dx.float(), dy @ weight, rtol=2**-8, atol=1e-3)
    d_weight, d_bias = linear.weight_gradient(x.bfloat16(), dy.bfloat16())
    torch.testing.assert_close(d_weight, dy.T @ x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(d_bias, dy.sum(dim=0), rtol=1e-4, atol=1e-3)


def test_a_linear_layer_under_autocast() -> None:
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


def test_a_linear_layer_accepts_vectors_and_other_layouts() -> None:
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


def test_what_does_not_fit_the_weights_is_an_error_of_pytorch() -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError, match="shapes"):
        Linear(64, 64)(torch.zeros(8, 128))
    with torch.autocast("cpu", torch.bfloat16):
        layer = Linear(64, 64, bias=False)
        assert not layer._supported(torch.zeros(8, 64)) and layer(torch.zeros(8, 64)).shape == (8, 64)


def test_kernels_keep_their_scratch_memory_until_they_are_done() -> None:
    assert_scratch_memory_is_kept("""
import torch
from triptych.kernels.attention.op import _Attention
from triptych.kernels.linear import kernel
x, weight = torch.ones(256, 192).bfloat16(), torch.ones(192, 192).bfloat16()
qkv = kernel.output(x, weight, torch.ones(192)).view(4, 64, 192).requires_grad_()
_Attention.apply(qkv, 2).float().sum().backward()
kernel.input_gradient(x, weight)
kernel.weight_gradient(x, x)
""")


@pytest.mark.parametrize(("channels_in", "channels_out"), [(64, 80), (48, 64)])
def test_unsupported_shapes_are_pytorchs_linear_layer(channels_in: int, channels_out: int) -> None:
    layer, x = Linear(channels_in, channels_out), torch.zeros(4, 16, channels_in)
    with torch.autocast("cpu", torch.bfloat16):
        assert not layer._supported(x)
        assert layer(x).shape == (4, 16, channels_out)


def test_the_kernels_give_the_same_bits_on_any_number_of_threads() -> None:
    norm, layer, x = nn.LayerNorm(64), Linear(64, 320), normal(8, 33, 3 * 64)

    def everything() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):

            def run(x: Tensor, weight: Tensor) -> Tensor:
                _, y = add_layer_norm(norm, x[..., :64].contiguous(), x[..., 64:128].bfloat16())
                y = attention(torch.cat([y, y, y], dim=-1), 4)
                return torch.func.functional_call(layer, {"weight": weight}, y)

            return gradients(run, x, layer.weight.detach())

    one, five = on_threads(1, everything), on_threads(5, everything)
    assert all(torch.equal(a, b) for a, b in zip(one, five, strict=True))


def test_a_compiled_graph_holds_pytorchs_own_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    qkv = normal(1, 4, 96).bfloat16()
    assert not attention_module._supported(qkv, 4, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not layer_norm_module._supported(nn.LayerNorm(8), normal(1, 2, 8), None)


@pytest.mark.slow
def test_a_process_that_compiles_attention_and_one_that_loads_it_give_the_same_bits(tmp_path: Path) -> None:
    program = """
import hashlib, torch
from triptych.kernels.attention.op import attention
torch.manual_seed(0)
qkv = torch.randn(2, 65, 3 * 64).bfloat16().requires_grad_()
attention(qkv, 2).float().square().sum().backward()
print(hashlib.sha256(qkv.grad.float().numpy().tobytes()).hexdigest())
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1
