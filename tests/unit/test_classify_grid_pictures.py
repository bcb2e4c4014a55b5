"""What the grid's pictures are made of: examples of augmentations, and attention rolled out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from colour_experiments import save_colours
from torch import Tensor, nn

from triptych.classify.architectures import build_model
from triptych.classify.attention_rollout import (
    attention_maps,
    attention_weights,
    check_attention,
    class_token_maps,
    rollout,
)
from triptych.classify.augmentation_examples import augmentation_examples
from triptych.data.packed import PackedDataset, load_packed
from triptych.experiments.experiment import save_weights
from triptych.models.vit import ViT
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_arrays, write_arrays

BASE = {"padding": 4, "flip": 0.5, "degrees": 15}
AUGMENTATIONS = {
    "baseline": {"method": "none"},
    "mixup": {"method": "mixup", "alpha": 0.4, "probability": 1.0},
    "cutout": {"method": "cutout", "size": 8, "probability": 1.0},
    "cutmix": {"method": "cutmix", "alpha": 0.4, "probability": 1.0},
}
OPTIONS = {"patch": 4, "dim": 16, "depth": 2, "heads": 2, "mlp": 16}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return load_packed(save_colours(tmp_path_factory.mktemp("data")))


def test_all_augmentations_get_the_same_crops_so_that_rows_differ_by_the_augmentation_alone(
    dataset: PackedDataset,
) -> None:
    found = augmentation_examples(dataset, base=BASE, augmentations=AUGMENTATIONS)
    assert found["images"].shape == (4, 8, *dataset.image_size, 3) and found["images"].dtype == np.uint8
    baseline, mixup, cutout, cutmix = found["images"]
    differs = (cutout != baseline).any(axis=-1)
    assert differs.any() and differs.mean() < 0.5  # the hole, and nothing outside of it
    assert (found["targets"].sum(axis=-1) == pytest.approx(1)) and (
        found["targets"][0].max(axis=-1) == 1
    ).all()
    pasted = (cutmix != baseline).any(axis=-1).mean(axis=(1, 2))
    assert (pasted < 1).all() and (mixup != baseline).any()
    again = augmentation_examples(dataset, base=BASE, augmentations=AUGMENTATIONS)
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_attention_that_looks_everywhere_alike_flows_everywhere_alike() -> None:
    flow = rollout([torch.full((1, 2, 5, 5), 0.2)])
    torch.testing.assert_close(flow[0], 0.5 * torch.full((5, 5), 0.2) + 0.5 * torch.eye(5))


def test_rollout_multiplies_the_layers_from_the_last_to_the_first() -> None:
    weights = [torch.rand(2, 3, 5, 5).softmax(-1) for _ in range(3)]
    expected = torch.eye(5)
    for layer in weights:
        expected = (0.5 * layer.mean(1) + 0.5 * torch.eye(5)) @ expected
    torch.testing.assert_close(rollout(weights), expected)
    torch.testing.assert_close(rollout(weights).sum(-1), torch.ones(2, 5))


def test_the_weights_listened_to_are_those_that_the_model_uses() -> None:
    torch.manual_seed(0)
    model = ViT(10, 16, **OPTIONS).eval()
    images = torch.randn(2, 3, 16, 16)
    weights = attention_weights(model, images)
    assert [tuple(layer.shape) for layer in weights] == [(2, 2, 17, 17)] * 2
    attention = model.blocks[0].attention
    x = model.patches(images).flatten(2).transpose(1, 2)
    x = torch.cat([model.class_token.expand(2, -1, -1), x], dim=1) + model.positions
    q, k, v = attention.qkv(model.blocks[0].norm1(x)).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (2, 8)).transpose(1, 2) for part in (q, k, v))
    by_hand = attention.projection((weights[0] @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(by_hand, attention(model.blocks[0].norm1(x)))


def test_a_class_token_that_looks_at_one_patch_makes_that_patch_bright() -> None:
    model = ViT(10, 16, patch=4, dim=16, depth=1, heads=1, mlp=16).eval()
    with torch.no_grad():
        model.patches.weight.zero_(), model.patches.bias.zero_()
        model.positions.zero_(), model.class_token.zero_()
        model.class_token[..., 0] = 9.0
        model.positions[0, 1 + 6, 1] = 9.0  # patch 6: row 1, column 2
        qkv = model.blocks[0].attention.qkv
        qkv.weight.zero_(), qkv.bias.zero_()
        qkv.weight[0, 0], qkv.weight[16, 1] = 9.0, 9.0  # the class token's query meets this patch's key
    maps = class_token_maps(model, torch.randn(1, 3, 16, 16))
    assert maps.shape == (1, 4, 4) and maps[0].argmax() == 6 and maps[0, 1, 2] > 0.4


def test_maps_of_several_trainings_are_stacked_and_survive_a_file(
    tmp_path: Path, dataset: PackedDataset
) -> None:
    network = {"module": "triptych.models.vit", "options": OPTIONS}
    weights = {}
    for seed, name in enumerate(("baseline", "cutmix")):
        torch.manual_seed(seed)
        model = build_model(network["module"], dataset.num_classes, dataset.image_size[0], dict(OPTIONS))
        weights[name] = tmp_path / f"{name}.safetensors"
        save_weights(model, weights[name])
    maps = attention_maps(dataset, networks=dict.fromkeys(weights, network), weights=weights)
    side = dataset.image_size[0] // 4
    assert maps["maps"].shape == (2, 8, side, side) and maps["predicted"].shape == (2, 8)
    assert not np.array_equal(maps["maps"][0], maps["maps"][1])
    write_arrays(tmp_path / "maps.npz", maps)
    first = (tmp_path / "maps.npz").read_bytes()
    write_arrays(tmp_path / "maps.npz", read_arrays(tmp_path / "maps.npz"))
    assert (tmp_path / "maps.npz").read_bytes() == first
    (tmp_path / "maps.npz").write_bytes(first[:100])
    with pytest.raises(TriptychError, match=r"maps\.npz cannot be read"):
        read_arrays(tmp_path / "maps.npz")


class Odd(nn.Module):
    """Attends to three tokens, which are no square of patches and a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.qkv = 1, nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.qkv(torch.zeros(len(x), 3, 4)).mean(1)


@pytest.mark.parametrize(
    ("module", "problem"),
    [(nn.Flatten(), "no module with `heads` and `qkv`"), (Odd(), "attend to 3 tokens, not to a class token")],
)
def test_a_network_whose_attention_cannot_be_rolled_out_says_so(module: nn.Module, problem: str) -> None:
    with pytest.raises(TriptychError, match=problem):
        class_token_maps(module, torch.zeros(1, 3, 8, 8))


def test_an_architecture_without_attention_is_one_clear_line(dataset: PackedDataset) -> None:
    check_attention(dataset, "vit", {"module": "triptych.models.vit", "options": OPTIONS})
    with pytest.raises(
        TriptychError, match=r"architectures\.mine: no attention rollout: .* set attention: false"
    ):
        check_attention(dataset, "mine", {"module": "triptych.models.resnet", "options": {"width": 8}})
