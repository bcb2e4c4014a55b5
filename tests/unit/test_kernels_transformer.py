"""The transformer's kernels give what PyTorch's operations give in float32, up to bfloat16's rounding."""

import os
import subprocess
import sys
from collections.abc import Callable
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
    layer, x = Linear(64, 320), normal(8, 33, 3 * 64)

    def everything() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):

            def run(x: Tensor, weight: Tensor) -> Tensor:
                y = attention(x.bfloat16(), 4)
                return torch.func.functional_call(layer, {"weight": weight}, y)

            return gradients(run, x, layer.weight.detach())

    one, five = on_threads(1, everything), on_threads(5, everything)
    assert all(torch.equal(a, b) for a, b in zip(one, five, strict=True))


def test_a_compiled_graph_holds_pytorchs_own_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    qkv = normal(1, 4, 96).bfloat16()
    assert not attention_module._supported(qkv, 4, 32)


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
