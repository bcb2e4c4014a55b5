"""The architectures: published parameter counts, shapes, and the report's arithmetic."""

import inspect
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from triptych.classify.architectures import build_model
from triptych.classify.parameter_count import count_parameters
from triptych.models import resnet, vit
from triptych.models.transformer import Attention, DropPath
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT


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


def test_resnet18_with_the_stem_for_large_images_is_torchvisions() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    ours, theirs = resnet.build(10, 96, width=64).eval(), resnet18(num_classes=10).eval()
    for a, b in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        a.copy_(b)
    x = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "large"), [(32, False), (64, False), (65, True), (224, True)])
def test_images_above_64_pixels_get_the_stem_for_large_ones(size: int, large: bool) -> None:
    assert (resnet.build(10, size, width=8)[0].stem.stride == (2, 2)) is large
    assert (resnet.build(10, size, width=8, large_stem=not large)[0].stem.stride == (2, 2)) is not large


@pytest.mark.parametrize(
    ("size", "patch"), [(16, 2), (28, 2), (32, 4), (48, 4), (64, 8), (96, 8), (128, 16), (224, 16), (384, 32)]
)
def test_a_vit_cuts_images_of_any_size_into_some_14_patches_a_side(size: int, patch: int) -> None:
    assert vit.build(10, size, dim=16, depth=1, heads=2, mlp=16).patches.kernel_size == (patch, patch)


def test_an_image_size_without_such_a_patch_is_one_clear_line() -> None:
    with pytest.raises(TriptychError, match=r"\(4\) must divide the image size \(97\).*change image_size"):
        vit.build(10, 97, dim=16, depth=1, heads=2, mlp=16)


def test_attention_agrees_with_torchs() -> None:
    torch.manual_seed(0)
    ours = Attention(32, heads=4)
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.load_state_dict(ours.projection.state_dict())
    x = torch.randn(3, 9, 32)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "count"), [("resnet18", 11_220_132), ("vit", 12_727_908), ("vit_384", 11_916_772)]
)
def test_the_configs_architectures_have_their_exact_counts_in_every_family(name: str, count: int) -> None:
    entry = yaml.safe_load((SOURCE_ROOT.parent / "config.yaml").read_text())["architectures"][name]
    for recipe in entry["recipes"].values():
        model = build_model(entry["module"], 100, 32, entry["options"] | recipe.get("options", {}))
        assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_the_vit_is_short_enough_to_be_read() -> None:
    assert len(inspect.getsource(vit).splitlines()) < 90


def test_drop_path_drops_branches_image_by_image_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, branch = DropPath(0.3), torch.ones(20_000, 2, 3)
    factors = layer(branch)
    assert torch.equal(factors, factors[:, :1, :1].expand_as(factors))
    assert set(factors.unique().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    assert abs(factors.mean().item() - 1) < 4 * (0.3 / 0.7 / 20_000) ** 0.5
    assert layer.eval()(branch) is branch and DropPath(0.0)(branch) is branch


def test_a_vit_without_its_branches_sees_nothing_but_the_class_token() -> None:
    torch.manual_seed(0)
    model = vit.build(5, 16, dim=32, depth=1, heads=2, mlp=32, stochastic_depth=0.999)
    x = torch.randn(4, 3, 16, 16)
    start = (model.class_token + model.positions[:, :1])[:, 0]
    torch.testing.assert_close(model(x), model.head(model.norm(start)).expand(4, 5))
    assert not torch.allclose(*model.eval()(x)[:2])


def test_stochastic_depth_grows_linearly_with_depth() -> None:
    model = vit.build(10, 32, dim=32, depth=4, mlp=32, stochastic_depth=0.4)
    layers = [module for module in model.modules() if isinstance(module, DropPath)]
    assert [layer.probability for layer in layers] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_mimetic_vit_begins_with_queries_like_keys_and_values_turned_round() -> None:
    torch.manual_seed(0)
    dim, heads = 64, 2
    plain, model = (vit.build(10, 32, dim=dim, depth=1, heads=heads, mlp=32, mimetic=on) for on in (0, 1))
    assert [p.shape for p in plain.parameters()] == [p.shape for p in model.parameters()]
    attention = model.blocks[0].attention
    queries, keys, values = attention.qkv.weight.detach().view(3, dim, dim)
    for q, k in zip(queries.chunk(heads), keys.chunk(heads), strict=True):
        # The 32 strongest of 64 directions of 0.7 (noise + identity): more of the identity's trace than half.
        assert 0.5 * 0.7 * dim < (q.T @ k).trace() < 1.5 * 0.7 * dim
    passed = attention.projection.weight.detach() @ values
    noise = passed + 0.4 * torch.eye(dim)
    assert noise.mean().abs() < 0.01 and noise.std().item() == pytest.approx(0.4 / dim**0.5, rel=0.1)


def test_a_mimetic_vits_positions_are_alike_where_they_are_near() -> None:
    model = vit.build(10, 32, dim=64, depth=1, heads=2, mlp=32, mimetic=True)
    assert not model.positions[0, 0].any()  # the class token is nowhere
    positions = model.positions[0, 1:].detach().view(8, 8, 64)
    alike = (positions @ positions[3, 4]).div(32)  # sines and cosines of 32 angles
    assert alike[3, 4].item() == pytest.approx(1)
    near = [alike[3, 3].item(), alike[3, 5].item(), alike[2, 4].item(), alike[4, 4].item()]
    assert near == pytest.approx([near[0]] * 4) and near[0] < 1
    alike[2:5, 3:6] = -1
    assert alike.max() < near[0]
    with pytest.raises(TriptychError, match="dim that is a multiple of 4, which 6 is not"):
        vit.build(10, 32, dim=6, depth=1, heads=2, mlp=32, mimetic=True)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_vit_with_dropout_and_stochastic_depth_is_decided_by_the_global_seed(
    precision: torch.dtype,
) -> None:
    model = vit.build(10, 32, patch=8, dim=32, depth=2, mlp=32, dropout=0.2, stochastic_depth=0.5)
    x = torch.randn(8, 3, 32, 32)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            outs.append(model(x))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
    assert outs[0].dtype == precision


@pytest.mark.parametrize("module", ["triptych.models.resnet", "triptych.models.vit"])
@pytest.mark.parametrize("size", [32, 64])
def test_architectures_classify_images_of_any_reasonable_size(module: str, size: int) -> None:
    options: dict[str, object] = (
        {"width": 8} if module.endswith("resnet") else {"dim": 32, "depth": 1, "mlp": 32}
    )
    model = build_model(module, 7, size, options)
    assert model(torch.randn(2, 3, size, size)).shape == (2, 7)


def test_a_wrong_architecture_is_one_clear_line() -> None:
    with pytest.raises(TriptychError, match=r"architecture module 'triptych.models.nothing'.*build"):
        build_model("triptych.models.nothing", 10, 32, {})
    with pytest.raises(TriptychError, match=r"'wide'.*check its arguments and the options"):
        build_model("triptych.models.resnet", 10, 32, {"wide": 3})
    with pytest.raises(TriptychError, match=r"patch \(5\) must divide the image size \(32\)"):
        build_model("triptych.models.vit", 10, 32, {"patch": 5})
    with pytest.raises(TriptychError, match=r"stochastic_depth is 1\.0; it must be .* below 1"):
        build_model("triptych.models.vit", 10, 32, {"stochastic_depth": 1.0})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return nn.Linear('3', 2)", r"build fails with options \{\}: TypeError: .*\(linear.py, line \d+\)"),
        ("return 1 / 0", r"ZeroDivisionError: division by zero \(own_net.py, line 3\)"),
        ("return None", "build must return a torch module, not NoneType"),
        ("return nn.Flatten(2)", r"logits of shape \(2, 7\).* it returns shape \(2, 3, 64\)"),
        ("return nn.Linear(5, num_classes)", r"fails on images of 8 x 8 pixels: RuntimeError"),
        ("return nn.LSTM(8, 8)", r"fails on images of 8 x 8 pixels"),
    ],
)
def test_a_mistake_in_ones_own_architecture_is_told_before_anything_is_trained(
    body: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_net.py").write_text(
        f"from torch import nn\ndef build(num_classes, image_size):\n    {body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    with pytest.raises(TriptychError, match=f"architecture module 'own_net': .*{problem}"):
        build_model("own_net", 7, 8, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("from torch import nn\nwidth = nix\n", r"NameError: name 'nix' .* \(own_net.py, line 2\)"),
        ("def build(num_classes:\n", r"SyntaxError: .* \(own_net.py, line 1\)"),
    ],
)
def test_ones_own_architecture_that_cannot_be_imported_is_told_with_its_line(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_net.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    with pytest.raises(TriptychError, match=f"architecture module 'own_net' cannot be imported: {problem}"):
        build_model("own_net", 7, 8, {})


def test_build_may_do_without_the_size_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "def build(num_classes, width=4):\n"
        "    layers = nn.Conv2d(3, width, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()\n"
        "    return nn.Sequential(*layers, nn.Linear(width, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    assert build_model("own_net", 7, 8, {})[0].out_channels == 4
    assert build_model("own_net", 7, 8, {"width": 5})[0].out_channels == 5
    with pytest.raises(TriptychError, match=r"build: got an unexpected keyword argument 'wide'; check"):
        build_model("own_net", 7, 8, {"wide": 5})
