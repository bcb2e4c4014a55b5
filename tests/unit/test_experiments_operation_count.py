"""The cost of a network: counted as it is on paper, and the same wherever it runs."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from triptych.experiments.operation_count import forward_flops, training_flops
from triptych.models import resnet, vit


def resnet18_multiply_adds(width: int, side: int, classes: int) -> int:
    """Filters times positions, convolution by convolution."""
    total, channels = 9 * 3 * width * side**2, width
    for stage in range(4):
        wider, side = width * 2**stage, side if stage == 0 else side // 2
        shortcut = 0 if stage == 0 else channels * wider
        total += (9 * channels * wider + 3 * 9 * wider**2 + shortcut) * side**2
        channels = wider
    return total + channels * classes


def vit_multiply_adds(*, patch: int, dim: int, depth: int, mlp: int, side: int, classes: int) -> int:
    """Weights times tokens, and twice tokens x tokens x dim for the attention, in every block."""
    patches = (side // patch) ** 2
    tokens = patches + 1
    block = tokens * (4 * dim**2 + 2 * dim * mlp) + 2 * tokens**2 * dim
    return patches * 3 * patch**2 * dim + depth * block + dim * classes


def test_resnet18_costs_what_its_convolutions_do_on_paper() -> None:
    counted = forward_flops(resnet.build(100, 32), 32)
    assert counted == 2 * resnet18_multiply_adds(64, 32, 100)
    assert counted / 2 == pytest.approx(0.56e9, rel=0.01)  # as published for ResNet18 with this stem
    assert forward_flops(resnet.build(10, 16, width=8), 16) == 2 * resnet18_multiply_adds(8, 16, 10)


def test_a_vit_costs_what_its_products_do_on_paper() -> None:
    for dim, depth, mlp in ((512, 6, 1024), (384, 8, 1152)):
        model = vit.build(100, 32, dim=dim, depth=depth, mlp=mlp)
        by_hand = vit_multiply_adds(patch=4, dim=dim, depth=depth, mlp=mlp, side=32, classes=100)
        assert forward_flops(model, 32) == 2 * by_hand


class Fused(nn.Module):
    """Attention in one call, which on CPUs escapes the counter."""

    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2)  # (N, 3, pixels): 3 tokens
        return F.scaled_dot_product_attention(q, q, q)


def test_fused_attention_does_not_escape_the_count() -> None:
    x = torch.zeros(1, 3, 8, 8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Fused()(x)
    escaped = counter.get_total_flops()
    assert forward_flops(Fused(), 8) == 2 * 2 * 3 * 3 * 64 >= escaped


@pytest.mark.parametrize("build", [resnet.build, vit.build])
def test_the_count_is_that_of_a_device_that_computes_nothing(build) -> None:  # type: ignore[no-untyped-def]
    model = build(10, 32)
    counted = forward_flops(model, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.to("meta").eval()(torch.zeros(1, 3, 32, 32, device="meta"))
    assert counter.get_total_flops() == counted


def test_counting_leaves_the_network_as_it_was() -> None:
    model = resnet.build(10, 16, width=8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    forward_flops(model, 16)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_training_is_three_forward_passes_an_image() -> None:
    assert training_flops(10, 7) == 210


class Encoder(nn.Module):
    """torch's own transformer, which has a fast path of its own in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.patches = nn.Conv2d(3, 64, 4, stride=4)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(dim=1)


def test_torchs_own_transformer_is_counted_in_full() -> None:
    block = 64 * (4 * 64**2 + 2 * 64 * 128) + 2 * 64**2 * 64
    fast = torch.backends.mha.get_fastpath_enabled()
    assert forward_flops(Encoder(), 32) == 2 * (64 * 48 * 64 + 2 * block)
    assert torch.backends.mha.get_fastpath_enabled() == fast
