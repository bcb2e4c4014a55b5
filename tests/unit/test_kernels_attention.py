"""Attention as two products is PyTorch's, up to the rounding of the number format."""

import pytest
import torch
from torch import Tensor

from triptych.kernels.attention import Attention
from triptych.models import transformer

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 0.02}  # relative; bfloat16's numbers are 1/256 apart


def output_and_gradients(layer: transformer.Attention, x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        y = layer(leaf)
    y.float().square().sum().backward()
    assert leaf.grad is not None
    found = [y.detach().float(), leaf.grad, *(p.grad for p in layer.parameters() if p.grad is not None)]
    layer.zero_grad()
    return found


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("n", "tokens", "heads", "width"), [(3, 65, 8, 64), (2, 17, 4, 16), (2, 65, 8, 48), (1, 1, 1, 32)]
)
def test_attention_of_any_length_and_width(
    n: int, tokens: int, heads: int, width: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    plain, layer = transformer.Attention(heads * width, heads), Attention(heads * width, heads)
    layer.load_state_dict(plain.state_dict())
    x = torch.randn(n, tokens, heads * width)
    exact, found = output_and_gradients(plain, x, torch.float32), output_and_gradients(layer, x, dtype)
    for ours, theirs in zip(found, exact, strict=True):
        assert (ours - theirs).norm() < TOLERANCES[dtype] * theirs.norm()


def test_attention_to_one_key_alone_does_not_overflow() -> None:
    layer = Attention(32, 1)
    for name in ("qkv", "projection"):
        layer.set_submodule(name, torch.nn.Identity())
    qkv = torch.zeros(1, 20, 96, dtype=torch.bfloat16)
    qkv[..., :64] = 30.0
    qkv[0, 5, 32:64] = 90.0  # this key wins by far: scores of 85,000 against 28,000
    qkv[..., 64:] = torch.randn(1, 20, 32)
    leaf = qkv.clone().requires_grad_()
    out = layer(leaf)
    assert torch.equal(out, qkv[:, 5:6, 64:].expand(1, 20, 32))
    out.float().sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all()
