"""Any architecture of the config as an encoder, and networks that are tried before they are trained."""

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from colour_experiments import SIMCLR, experiment, metrics, save_colours
from torch import nn

from triptych.classify.architectures import build_model
from triptych.models.resnet import ResNet18
from triptych.ssl.encoder import build_encoder
from triptych.ssl.features import compute_features
from triptych.ssl.simclr import pretrain
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT

PAGE = SOURCE_ROOT.parent / "docs/own_images.md"
CONV = "nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that writes the module `own_net`, whose `build` has this body, and returns its entry."""

    def write(body: str) -> dict[str, Any]:
        imports = "import torchvision\nfrom torch import nn\n"
        text = f"{imports}def build(num_classes, image_size):\n    {body}\n"
        (tmp_path / "own_net.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "own_net", raising=False)
        return {"module": "own_net", "options": {}}

    return write


def test_the_projects_networks_are_encoders_without_their_classifiers() -> None:
    resnet, features = build_encoder({"module": "triptych.models.resnet", "options": {"width": 8}}, 16)
    assert type(resnet) is ResNet18 and features == 64
    vit, features = build_encoder({"module": "triptych.models.vit", "options": {"dim": 32, "depth": 1}}, 16)
    assert features == 32 and not any(name.startswith("head") for name in vit.state_dict())


def test_the_last_linear_layer_of_any_other_network_is_taken_away(module: Any) -> None:
    entry = module(f"return nn.Sequential({CONV}, nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, num_classes))")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder, features = build_encoder(entry, 16)
    assert features == 5 and encoder(torch.rand(3, 3, 16, 16)).shape == (3, 5)


def test_build_may_return_the_features_for_no_classes(module: Any) -> None:
    entry = module(f"return nn.Sequential({CONV}, *([nn.Linear(6, num_classes)] if num_classes else []))")
    assert build_encoder(entry, 16)[1] == 6


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "return nn.Sequential(nn.Conv2d(3, num_classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())",
            "does not end in a linear layer that could be taken away; let build",
        ),
        (
            "return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Linear(14, num_classes))",
            r"as an encoder .* features of shape \(2, number\); it returns \(2, 6, 14, 14\)",
        ),
    ],
)
def test_a_network_without_features_is_one_clear_line(module: Any, body: str, problem: str) -> None:
    with pytest.raises(TriptychError, match=f"architecture module 'own_net': .*{problem}"):
        build_encoder(module(body), 16)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "return torchvision.models.googlenet(num_classes=num_classes, init_weights=False)",
            "while it trains it returns GoogLeNetOutputs; switch off its auxiliary outputs",
        ),
        (
            f"return nn.Sequential({CONV}, nn.Linear(6, num_classes)).requires_grad_(False)",
            "has nothing to train: no weight with requires_grad",
        ),
        (
            f"return nn.Sequential({CONV}, nn.Linear(6, num_classes), nn.LSTM(num_classes, 9))",
            r"logits of shape \(2, 7\); it returns tuple$",
        ),
    ],
)
def test_a_network_is_tried_as_it_trains(module: Any, body: str, problem: str) -> None:
    with pytest.raises(TriptychError, match=f"architecture module 'own_net': .*{problem}"):
        build_model(module(body)["module"], 7, 32, {})


def test_a_trial_leaves_a_network_and_the_random_numbers_as_they_were(module: Any) -> None:
    entry = module(
        f"return nn.Sequential({CONV}, nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, num_classes))"
    )
    torch.manual_seed(3)
    model = build_model(entry["module"], 7, 16, {})
    after = torch.rand(1)
    torch.manual_seed(3)
    untried = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(6),
        nn.Dropout(),
        nn.Linear(6, 7),
    )
    assert torch.equal(after, torch.rand(1))
    for name, value in untried.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert all(parameter.grad is None for parameter in model.parameters()) and model.training


def test_a_network_of_timm_is_pretrained_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm", reason="timm is not installed (it is an example, no dependency)")
    code = PAGE.read_text().split("`src/timm_net.py`:")[1].split("```python\n")[1].split("```")[0]
    (tmp_path / "timm_net.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    data = save_colours(tmp_path / "data")
    network = {"module": "timm_net", "options": {"name": "test_resnet"}}
    classifier = build_model("timm_net", 3, 16, network["options"])
    assert classifier(torch.rand(2, 3, 16, 16)).shape == (2, 3)
    recipe = {**SIMCLR, "architecture": network, "epochs": 1}
    pretrain(experiment(tmp_path / "simclr", data, recipe))
    encoder = str(tmp_path / "simclr/encoder.safetensors")
    compute_features(experiment(tmp_path / "features", data, recipe), encoder)
    assert metrics(tmp_path / "features")["dimensions"] == build_encoder(network, 16)[1]
