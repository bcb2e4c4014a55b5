"""The checks before all trainings: all that does not fit the data, at once, with the key and a value."""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_config import checked
from hypothesis import given
from hypothesis import strategies as st
from snakemake.utils import update_config

from triptych.checks import networks
from triptych.checks.networks import check_networks, saved_bytes, smaller_batches
from triptych.checks.sizes import SizeChecks
from triptych.checks.study import check_all
from triptych.config.checks import check_trainings
from triptych.config.sizes import sizes_of, training_mb
from triptych.data.packed import PackedDataset
from triptych.models import resnet
from triptych.training.batches import batch_size
from triptych.workflow.machine_memory import memory_limit

SMALL: dict[str, Any] = {
    "parts": ["self_supervision", "grid"],
    "self_supervision": {"dataset": "shapes"},
    "grid": {"dataset": "shapes"},
    "architectures": {
        "resnet18": {"options": {"width": 8}},
        "vit": {"options": {"dim": 16, "depth": 1, "heads": 2, "mlp": 16}},
    },
}


def config(**changes: Any) -> dict[str, Any]:
    """The project's config for small networks, with changes, checked."""
    small = copy.deepcopy(SMALL)
    update_config(small, changes)
    return checked(**small)


CHECKED = config()


def dataset(counts: list[int], tests: int = 40, side: int = 8) -> PackedDataset:
    """Black images, so many of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return PackedDataset(
        name="mine",
        source={},
        classes=tuple("abcdefgh"[: len(counts)]),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        digest="0",
        train_images=np.zeros((len(labels), side, side, 3), np.uint8),
        train_labels=labels,
        test_images=np.zeros((tests, side, side, 3), np.uint8),
        test_labels=np.arange(tests) % len(counts),
    )


def check(data: PackedDataset, **changes: Any) -> tuple[list[str], list[str]]:
    """Problems and notes."""
    sizes, checks = sizes_of(config(**changes), "shapes"), SizeChecks(data)
    checks.check_self_supervision(sizes["self_supervision"])
    checks.check_grid(sizes["grid"])
    notes = [note for notes in checks.notes.values() for note in notes]
    return [*checks.problems, *check_networks(data, checks.trainings)], notes


def test_a_small_data_set_needs_no_settings() -> None:
    problems, notes = check(dataset([30, 12, 6]), self_supervision={"fine_tune": {"percents": [50]}})
    assert problems == []
    assert (
        "self_supervision.simclr.batch_size is 128, but there are 48 images to train on: it is lowered to 48"
        in notes
    )
    assert any(
        note.startswith("architectures.vit.recipes.modern.batch_size is 128, but there are 43")
        for note in notes
    )
    assert any(
        "label_fraction.percents: 1 % of the labels are 0; 6 are used, at least 2 of each" in note
        for note in notes
    )
    assert {
        "validation: auto holds out 5 of 48 training images",
        "self_supervision.knn.k is auto: 7 of 48 training images vote",
        "self_supervision.label_fraction.folds is 5, but with 1 % of the labels the rarest class has 2: "
        "there are 2 folds",
    } <= set(notes)
    assert any(
        "feature_map.perplexity is 30, too many for 40 points: it is lowered to 13" in note for note in notes
    )


def test_all_mistakes_are_found_at_once_each_with_its_key_and_a_value_that_would_do() -> None:
    problems, _ = check(
        dataset([30, 12, 1], tests=3),
        self_supervision={
            "probe": {"validation": 200},
            "supervised": {"validation": 43},
            "fine_tune": {"percents": [10], "validation": 99},
            "simclr": {"accumulate": 32},
            "knn": {"k": 100},
        },
        grid={"validation": 41, "cells": {"vit-mixup": {"batch_size": 64, "accumulate": 32}}},
        architectures={"vit": {"options": {"patch": 3}}},
    )
    found = "\n".join(problems)
    for expected in (
        "self_supervision.probe.validation is 200, but there are 43 training images of 3 "
        "classes; set it to auto, which is a tenth",
        "self_supervision.supervised.validation is 43",
        "self_supervision.fine_tune.validation is 99",
        "self_supervision.simclr: there are 43 images to train on, but accumulate: 32 and gpus: 1 need 64",
        "self_supervision.label_fraction.percents needs at least 2 training images of each "
        "class, which 'c' lacks; add images, or set it to []",
        "grid.validation is 41",
        "self_supervision.feature_map needs 4 test images, but the data set has 3; add some",
    ):
        assert f"config: {expected}" in found
    assert len(problems) == len(set(problems))


def test_a_network_that_does_not_fit_the_images_is_named_once_for_all_its_cells() -> None:
    problems, _ = check(dataset([30, 12, 6]), architectures={"vit": {"options": {"patch": 3}}})
    assert len(problems) == 1
    assert "config: architectures.vit: vit: patch (3) must divide the image size (8)" in problems[0]


@pytest.mark.parametrize(
    ("options", "body", "expected"),
    [
        ({"shar": 0.25}, "return images, targets", "augment: got an unexpected keyword argument 'shar'"),
        ({}, "return tensr, targets", "augment fails: NameError: name 'tensr' is not defined"),
        ({}, "return images[:1], targets", "must return images and targets in the shapes that it was given"),
    ],
)
def test_an_augmentation_that_fails_is_named_before_anything_trains(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    body: str,
    expected: str,
) -> None:
    source = f"def augment(images, targets, *, generator, share=0.5):\n    {body}\n"
    (tmp_path / "own_stripes.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("own_stripes", None)
    entry = {"title": "Stripes", "module": "own_stripes", "options": options}
    sizes = sizes_of(
        config(
            parts=["grid"],
            augmentations={"stripes": entry},
            grid={"dataset": "shapes", "architectures": ["vit"], "augmentations": ["baseline", "stripes"]},
        ),
        "shapes",
    )
    (problem,) = check_all(dataset([30, 12]), sizes).problems
    assert problem.startswith("config: augmentations.stripes: augmentation module 'own_stripes': ")
    assert expected in problem


def test_a_split_that_leaves_a_class_without_training_images_is_refused() -> None:
    problems, _ = check(dataset([20, 1, 1]), grid={"validation": 19})
    assert any("grid.validation is 19 and leaves no image of" in problem for problem in problems)


def test_a_batch_beyond_the_memory_is_refused_with_one_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "memory_limit", lambda: 1_600_000_000)
    on_cpu = {"device": "cpu"}
    problems, _ = check(
        dataset([300, 120], side=96),
        self_supervision={"simclr": on_cpu},
        architectures={"resnet18": {"options": {"large_stem": False}}},
    )
    assert any(
        problem.startswith(
            "config: self_supervision.simclr.batch_size is 128; 128 images of 96 pixels at a time need"
        )
        and "this machine has 1.6; set batch_size to " in problem
        for problem in problems
    )


def test_what_is_saved_for_the_backward_pass_is_counted_for_each_image() -> None:
    model = resnet.build(10, 32, width=8)
    each = saved_bytes(model, 32, "float32")
    assert each == pytest.approx(4.48 * 2**20 / 8, rel=0.1)  # 4.48 MiB at width 64
    assert saved_bytes(resnet.build(10, 64, width=8), 64, "float32") == pytest.approx(4 * each, rel=0.1)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(1, 100))
def test_validation_auto_suits_all_data_with_two_images_of_a_class(counts: list[int], held_out: int) -> None:
    def problems(validation: int | str) -> list[str]:
        checks = SizeChecks(dataset(counts), notes={"grid": []})
        checks._check_validation("grid", validation)
        return checks.problems

    assert bool(problems("auto")) == (max(counts) == 1)
    assert all("set it to auto" in text or max(counts) == 1 for text in problems(held_out))


@given(st.data())
def test_a_batch_that_is_advised_fits_and_is_allowed(data: st.DataObject) -> None:
    gpus, accumulate = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 40))
    least = 2 * gpus * accumulate
    size = gpus * accumulate * data.draw(st.integers(2, 200))
    images = data.draw(st.integers(least, 3000))
    recipe = {"batch_size": size, "accumulate": accumulate, "gpus": gpus}
    batch = batch_size(recipe, images)
    fits = data.draw(st.integers(0, -(-batch // accumulate) - 1))
    advice = smaller_batches(recipe, batch, fits)
    assert advice.keys() == {"batch_size", "accumulate"} or fits < 4 * gpus or gpus > 1
    learning = CHECKED["self_supervision"]
    for knob, value in advice.items():
        changed = {**learning["simclr"], **recipe, knob: value}
        assert not list(check_trainings({**CHECKED, "self_supervision": {**learning, "simclr": changed}}))
        smaller = batch_size(changed, images)
        assert smaller >= 2 * gpus * changed["accumulate"]
        assert -(-smaller // changed["accumulate"]) <= fits


def test_views_of_a_few_pixels_are_one_clear_line() -> None:
    stages = [{"share": 0.5, "scale": 0.01}, {"share": 0.5, "scale": 1}]
    problems, _ = check(dataset([300, 120]), self_supervision={"simclr": {"progressive_resizing": stages}})
    assert [problem for problem in problems if "views" in problem] == [
        "config: self_supervision.simclr.progressive_resizing has views of 0 pixels, of images of 8, but "
        "views need 8; set scale to 1 or more"
    ]


def test_a_machine_without_memory_for_a_network_gets_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "memory_limit", lambda: 500_000_000)
    problems, _ = check(dataset([300, 120]), self_supervision={"simclr": {"device": "cpu", "batch_size": 16}})
    about = [problem for problem in problems if "simclr.batch_size is 16" in problem]
    assert about and about[0].endswith("not even 2 fit: use smaller images or a smaller network")


def test_memory_is_reserved_by_image_size_and_batch() -> None:
    recipe = {"batch_size": 128, "accumulate": 1, "gpus": 1}
    assert training_mb(recipe, 32) == 3524
    assert training_mb(recipe, 64) == 2500 + 4 * 1024
    assert training_mb(recipe, 224) == 2500 + 4 * 1024
    assert training_mb({**recipe, "accumulate": 4}, 224, views=2) == 2500 + 2 * 1024


def test_the_limit_of_a_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from triptych.workflow import machine_memory

    whole = memory_limit()
    (tmp_path / "job/step").mkdir(parents=True)
    (tmp_path / "job/memory.max").write_text("1000000\n")
    (tmp_path / "job/step/memory.max").write_text("max\n")
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    monkeypatch.setattr(machine_memory, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(machine_memory, "MOUNT", tmp_path)
    assert memory_limit() == 1_000_000 < whole
