"""The architectures: published parameter counts, shapes, and the report's arithmetic."""

import pytest
import torch
from torch import nn

from triptych.classify.classifier import build_model
from triptych.classify.parameters import count_parameters
from triptych.nn import resnet, vit
from triptych.run.errors import TriptychError


def test_counts_are_the_published_ones() -> None:
    models = count_parameters()
    assert models["resnet18"]["total"] == 11_220_132
    assert models["vit"]["total"] == 12_727_908
    assert models["vit_384_8_1152"]["total"] == 11_916_772


def test_the_lines_of_each_count_add_up_and_explain_the_reports_formulas() -> None:
    models = count_parameters()
    for model in models.values():
        assert sum(line["count"] for line in model["lines"]) == model["total"]
        if model["published_formula"]:
            formula = sum(line["count"] for line in model["lines"] if line["in_formula"])
            assert formula == model["published_formula"]


def test_resnet18_agrees_with_torchvisions_blocks() -> None:
    """Same weights in torchvision's residual stages give the same features."""
    from torchvision.models import resnet18

    torch.manual_seed(0)
    ours = resnet.ResNet18().eval()
    theirs = resnet18()
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool, theirs.fc = nn.Identity(), nn.Identity()
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.05)
    for a, b in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        a.copy_(b)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)


def test_attention_agrees_with_torchs() -> None:
    torch.manual_seed(0)
    ours = vit.Attention(32, heads=4, dropout=0.0)
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.load_state_dict(ours.projection.state_dict())
    x = torch.randn(3, 9, 32)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", ["triptych.nn.resnet", "triptych.nn.vit"])
@pytest.mark.parametrize("size", [32, 64])
def test_architectures_classify_images_of_any_reasonable_size(module: str, size: int) -> None:
    options: dict[str, object] = (
        {"width": 8} if module.endswith("resnet") else {"dim": 32, "depth": 1, "mlp": 32}
    )
    model = build_model(module, 7, size, options)
    assert model(torch.randn(2, 3, size, size)).shape == (2, 7)


def test_a_wrong_architecture_is_one_clear_line() -> None:
    with pytest.raises(TriptychError, match=r"architecture module 'triptych.nn.nothing'.*build"):
        build_model("triptych.nn.nothing", 10, 32, {})
    with pytest.raises(TriptychError, match=r"'wide'.*check the options"):
        build_model("triptych.nn.resnet", 10, 32, {"wide": 3})
    with pytest.raises(TriptychError, match=r"patch \(5\) must divide the image size \(32\)"):
        build_model("triptych.nn.vit", 10, 32, {"patch": 5})
