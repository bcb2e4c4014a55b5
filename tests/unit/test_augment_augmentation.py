"""A cell's augmentation put together from the config, and the user's own."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from triptych.augment.augmentation import make_augmentation
from triptych.augment.geometry import random_shift_flip_rotate
from triptych.augment.mixing import mix
from triptych.augment.rand_augment import rand_augment
from triptych.augment.random_erasing import random_erasing
from triptych.workflow.errors import TriptychError

BASE = {"padding": 4, "flip": 0.5, "degrees": 15}
STILL = {"padding": 0, "flip": 0.0, "degrees": 0}
CUTMIX = {"method": "cutmix", "alpha": 1.0, "probability": 0.5}
STRONG = {**CUTMIX, "rand_augment": {"operations": 2, "magnitude": 9}, "random_erasing": {"probability": 0.5}}

Write = Callable[[str], str]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.eye(8)


def normalise(images: Tensor) -> Tensor:
    return (images - 0.5) / 0.25


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module of the user's and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_module(text: str) -> str:
        name = f"own_{len(list(tmp_path.iterdir()))}_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        return name

    return write_module


def test_the_baseline_is_crop_flip_rotation_and_normalisation_to_the_bit() -> None:
    images, targets = batch()
    out, labels = make_augmentation(BASE, {"method": "none"}, normalise)(images, targets, seeded())
    assert torch.equal(out, normalise(random_shift_flip_rotate(images, **BASE, generator=seeded())))
    assert torch.equal(labels, targets)


def test_the_parts_of_an_augmentation_are_applied_in_order() -> None:
    images, targets = batch()
    out = make_augmentation(BASE, STRONG, normalise)(images, targets, seeded())
    generator = seeded()
    expected = random_shift_flip_rotate(images, **BASE, generator=generator)
    expected = rand_augment(expected, operations=2, magnitude=9, generator=generator)
    expected = random_erasing(normalise(expected), probability=0.5, generator=generator)
    wanted = mix(expected, targets, CUTMIX, generator)
    assert torch.equal(out[0], wanted[0]) and torch.equal(out[1], wanted[1])


def test_a_users_function_gets_normalised_images_and_its_options(write: Write) -> None:
    module = write(
        "def augment(images, targets, *, generator, shift):\n    return images + shift, targets.flip(0)\n"
    )
    images, targets = batch()
    augment = make_augmentation(STILL, {"module": module, "options": {"shift": 2}}, normalise)
    out, labels = augment(images, targets, seeded())
    torch.testing.assert_close(out, normalise(images) + 2)
    assert torch.equal(labels, targets.flip(0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import nix_da\n", "cannot be imported: No module named 'nix_da'; install it"),
        ("x = 1\n", r"augmentation module 'own_.*has no attribute 'augment'.*name a module with augment\("),
        (
            "def augment(images, targets, *, generator): ...\n",
            "got an unexpected keyword argument 'shift'; check its arguments and the options in the config",
        ),
        ("def augment(images, targets, *, shift): ...\n", "unexpected keyword argument 'generator'"),
        (
            "import torch\nnix\n",
            r"cannot be imported: NameError: name 'nix' is not defined \(own_.*, line 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line_before_the_training(
    write: Write, text: str, expected: str
) -> None:
    with pytest.raises(TriptychError, match=expected):
        make_augmentation(STILL, {"module": write(text), "options": {"shift": 2}}, normalise)


def test_results_of_another_shape_are_one_clear_line(write: Write) -> None:
    module = write("def augment(images, targets, *, generator):\n    return images[1:], targets\n")
    augment = make_augmentation(STILL, {"module": module, "options": {}}, normalise)
    with pytest.raises(
        TriptychError, match=r"given, \[\(8, 3, 16, 16\), \(8, 8\)\]; it returned \[\(7, 3, 16"
    ):
        augment(*batch(), seeded())
    module = write("def augment(images, targets, *, generator):\n    return images\n")
    augment = make_augmentation(STILL, {"module": module, "options": {}}, normalise)
    with pytest.raises(TriptychError, match=r"must return images and targets .* it returned Tensor"):
        augment(*batch(), seeded())


def test_a_users_option_may_have_any_name_but_those_of_the_arguments(write: Write) -> None:
    module = write("def augment(images, targets, *, generator, label):\n    return images + label, targets\n")
    augment = make_augmentation(STILL, {"module": module, "options": {"label": 3.0}}, normalise)
    augment(*batch(), seeded())
    with pytest.raises(TriptychError, match="multiple values for keyword argument 'generator'; check"):
        make_augmentation(STILL, {"module": module, "options": {"generator": 3}}, normalise)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return images / nix, targets", r"augment fails: NameError: name 'nix' .* \(own_.*, line 2\)"),
        ("return images, 2 * targets", "targets that are distributions"),
        ("return images, 2 * targets - 1 / targets.shape[1]", "targets that are distributions"),
        ("return images, targets * float('nan')", "targets that are distributions"),
    ],
)
def test_a_users_function_that_fails_or_returns_no_distributions_is_one_clear_line(
    write: Write, body: str, problem: str
) -> None:
    module = write(f"def augment(images, targets, *, generator):\n    {body}\n")
    augment = make_augmentation(STILL, {"module": module, "options": {}}, normalise)
    with pytest.raises(TriptychError, match=f"augmentation module '{module}': .*{problem}"):
        augment(*batch(), seeded())
