"""A finished study in small: result files of exactly the form that the other stages write."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report_scene import examples, rollouts, write_scene

from triptych.report.part2_grid import Cell, Grid
from triptych.report.results import Result
from triptych.workflow.files import write_arrays, write_json
from triptych.workflow.provenance import provenance

ARCHITECTURES = {"resnet18": "ResNet18", "vit": "ViT", "mixer": "Mixer <small>"}
AUGMENTATIONS = {"baseline": "Baseline", "mixup": "Mixup", "cutout": "Cutout", "cutmix": "CutMix"}
RESNET18 = {"module": "triptych.models.resnet", "options": {"width": 64}}
EVALUATIONS = {
    "knn/simclr": 74.0,
    "knn/random": 30.1,
    "label_fraction/simclr/percent1": 61.5,
    "label_fraction/random/percent1": 22.2,
    "fine_tune/percent1": 66.6,
}
SEEDS = (0, 1, 2)
EPOCHS = 20
ERRORS = {"resnet18": 27.0, "vit": 52.0, "mixer": 48.0}
GAINS = {"baseline": 0.0, "mixup": -0.6, "cutout": 0.9, "cutmix": -2.4}
OPTIONS = {"resnet18": {"width": 64}, "vit": {"patch": 4, "dim": 128, "depth": 6, "heads": 8, "mlp": 1024}}

MODELS = {
    "resnet18": {
        "title": "ResNet18",
        "total": 11_220_132,
        "lines": [
            {"part": "3x3 convolutions and classifier weights", "count": 11_038_400, "in_formula": True},
            {"part": "1x1 convolutions of the shortcuts", "count": 172_032, "in_formula": False},
            {"part": "batch normalisation", "count": 9_600, "in_formula": False},
            {"part": "classifier bias", "count": 100, "in_formula": False},
        ],
        "published_count": 11_220_132,
        "published_formula": 11_038_400,
    },
    "vit": {
        "title": "ViT (512, 6 blocks)",
        "total": 12_727_908,
        "lines": [
            {"part": "attention and MLP weights", "count": 12_582_912, "in_formula": True},
            {"part": "everything else", "count": 144_996, "in_formula": False},
        ],
        "published_count": None,
        "published_formula": 12_582_912,
    },
}

CIFAR100 = {
    "name": "cifar100",
    "classes": [f"class {number}" for number in range(100)],
    "counts": {"train": 50_000, "test": 10_000},
}


def runs(cell: str, *errors: float, seeds: Sequence[int] = (), validation: float = 0.0) -> list[Result]:
    """Results of a cell, `row-column`, by seed; errors on validation images are higher by `validation`."""
    return [
        Result(
            Path(f"results/grid/{cell}/seed{seed}/metrics.json"),
            {
                "test_top1_error": error,
                "test_top5_error": error,
                "validation_top1_error": error + validation,
                "validation_top5_error": error,
                "parameters": 1000,
                "epochs": 2,
                "training_flops": 3e15,
                "images_per_second": 10.0 * (1 + seed),
            },
            {
                "recipe": {
                    "epochs": 2,
                    "architecture": {"module": "mine", "options": {}},
                    "augmentation": {"method": cell},
                },
                "seed": seed,
                "wall_seconds": 60.0,
                "hardware": {"cpu": "another", "threads": 1} if seed == 9 else {"cpu": "a CPU", "threads": 2},
            },
        )
        for seed, error in zip(seeds or range(len(errors)), errors, strict=True)
    ]


def grid_of(
    cells: Mapping[str, Sequence[float]] | Mapping[Cell, Sequence[Result]],
    *,
    architectures: Mapping[str, str] | None = None,
    augmentations: Mapping[str, str] | None = None,
    dataset: Mapping[str, Any] = CIFAR100,
) -> Grid:
    """A grid of results by cell, or of errors by `row-column`; titles are the names unless they are given."""
    made = {
        cell if isinstance(cell, tuple) else tuple(cell.split("-")): found
        if isinstance(cell, tuple)
        else runs(cell, *found)
        for cell, found in cells.items()
    }
    rows, columns = (dict.fromkeys(names) for names in zip(*made, strict=True))
    return Grid(
        made,
        architectures or {name: name for name in rows},
        augmentations or {name: name for name in columns},
        Result(Path("results/data/dataset.json"), dict(dataset), {}),
    )


@cache
def _facts() -> dict[str, object]:
    return provenance(recipe={}, seed=None, wall_seconds=74.2, device="cpu")


def _provenance(seed: int | None, **recipe: object) -> dict[str, object]:
    return {**_facts(), "recipe": recipe, "seed": seed}


def _history(folder: Path, columns: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(folder / "history.csv", index=False)


def _classifier(
    folder: Path, error: float, *, seed: int, recipe: dict[str, object], metrics: dict[str, Any]
) -> None:
    """A training whose validation error falls to `error`."""
    epoch = np.arange(1, EPOCHS + 1)
    now = error + (88 - error) * np.exp(-epoch / 4) + np.sin(7.1 * epoch + seed) * 0.7
    curves = {"train_loss": now / 22, "validation_loss": now / 20 + 0.2}
    curves |= {"validation_top1_error": now, "validation_top5_error": now / 3}
    _history(folder, {"epoch": epoch, **curves, "learning_rate": 0.1, "seconds": 3.7})
    facts = _provenance(seed, epochs=EPOCHS, learning_rate=0.1, **recipe)
    write_json(folder / "metrics.json", {**metrics, "provenance": facts})


def _data(root: Path, name: str, classes: int, train: int) -> None:
    """A hundred classes have superclasses: five neighbours each."""
    groups = range(classes // 5) if classes == 100 else []
    write_json(
        root / "data" / name / "dataset.json",
        {
            "name": name,
            "classes": [f"class {number}" for number in range(classes)],
            "superclasses": [f"things of kind {number}" for number in groups] or None,
            "superclass_of_class": [number // 5 for number in range(classes)] if groups else None,
            "counts": {"train": train, "test": train // 5},
            "source": name,
            "digest": "0" * 64,
            "provenance": _provenance(None, source=name),
        },
    )
    np.save(root / "data" / name / "test_labels.npy", np.arange(2000) % classes)


def class_results(accuracy: float, classes: int = 10) -> dict[str, Any]:
    """Results by class of a classifier that confuses each class with the next one, 1000 images of each."""
    right = round(10 * accuracy)
    confusion = right * np.eye(classes, dtype=int) + (1000 - right) * np.roll(
        np.eye(classes, dtype=int), 1, 1
    )
    return {
        "test_class_accuracies": [right / 10] * classes,
        "test_balanced_accuracy": right / 10,
        "test_confusion": confusion.tolist(),
    }


def _self_supervision(root: Path) -> None:
    epoch = np.arange(1, EPOCHS + 1)
    for seed, luck in zip(SEEDS, (0.3, -0.2, 0.5), strict=True):
        folder = root / "simclr" / f"seed{seed}"
        loss = 4.1 + 0.9 * np.exp(-epoch / 6) + 0.01 * seed
        knn = np.where(epoch % 5 == 0, 70.0 - 40.0 / epoch, np.nan)
        _history(folder, {"epoch": epoch, "train_loss": loss, "seconds": 4.4, "knn_accuracy": knn})
        facts = _provenance(seed, temperature=0.5, architecture=RESNET18)
        write_json(folder / "metrics.json", {"final_train_loss": loss[-1], "provenance": facts})
        for name, accuracy in (("probe/simclr", 78.9), ("probe/random", 41.3), ("supervised", 92.8)):
            reached = accuracy + luck
            metrics = {
                "test_top1_accuracy": reached,
                "test_top5_accuracy": 100 - (100 - reached) / 9,
                "validation_top1_accuracy": reached + 0.1,
                **class_results(reached),
            }
            recipe = {"protocol": "report", "architecture": RESNET18}
            folder = root / name / f"seed{seed}"
            _classifier(folder, 100 - reached, seed=seed, recipe=recipe, metrics=metrics)
        for name, accuracy in EVALUATIONS.items():
            metrics = {"test_top1_accuracy": accuracy + luck, "provenance": _provenance(seed)}
            write_json(root / name / f"seed{seed}" / "metrics.json", metrics)
        for encoder, spread in (("simclr", 0.6), ("random", 4.0)):
            _features(root, encoder, seed, spread)


def _features(root: Path, encoder: str, seed: int, spread: float) -> None:
    """Features and their map: the classes lie on a circle, apart as far as the spread allows."""
    features = {"dimensions": 512, "feature_std": 0.6, "provenance": _provenance(seed, width=64)}
    write_json(root / "features" / encoder / f"seed{seed}" / "metrics.json", features)
    folder, image = root / "feature_map" / encoder / f"seed{seed}", np.arange(200)
    write_json(folder / "metrics.json", {"points": 200, "provenance": _provenance(seed, points=200)})
    turn, noise = 2 * np.pi * image / 10, spread * np.random.default_rng(seed).normal(size=(2, 200))
    places = {"x": 5 * np.cos(turn) + noise[0], "y": 5 * np.sin(turn) + noise[1]}
    points = {"image": image, "class": [f"class {number % 10}" for number in image], **places}
    pd.DataFrame(points).to_csv(folder / "map.csv", index=False)


def _predictions(error: float, classes: int, seed: int) -> np.ndarray:
    """Classes of the 2000 test images, so many percent wrong; half of those by one or two classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(2000) % classes
    near = labels + generator.choice([-2, -1, 1, 2], 2000)
    wrong = np.where(generator.random(2000) < 0.5, near, generator.integers(0, classes, 2000)) % classes
    return np.where(generator.random(2000) < error / 100, wrong, labels).astype(np.uint8)


def _grid(root: Path, classes: int) -> None:
    for architecture in ARCHITECTURES:
        for augmentation in AUGMENTATIONS:
            for seed in SEEDS:
                # The same luck for all cells, on other seeds: means and deviations agree, pairs differ.
                luck = list(permutations((0.31, -0.12, 0.05)))[list(AUGMENTATIONS).index(augmentation)][seed]
                error = ERRORS[architecture] + GAINS[augmentation] + luck
                metrics = {
                    "test_top1_error": error,
                    "test_top5_error": error / 3.3,
                    "validation_top1_error": error + 1,
                    "validation_top5_error": error / 3,
                    "best_epoch": EPOCHS - 1,
                    "epochs": EPOCHS,
                    "parameters": 11_220_132,
                    "training_flops": 1.5e15 * EPOCHS,
                    "images_per_second": 170.0,
                }
                folder = root / "grid" / f"{architecture}-{augmentation}" / f"seed{seed}"
                method = "none" if augmentation == "baseline" else augmentation
                recipe = {
                    "architecture": {"module": architecture, "options": OPTIONS.get(architecture, {})},
                    "base_augmentation": {"padding": 4, "flip": 0.5, "degrees": 15},
                    "augmentation": {"method": method, "alpha": 0.4, "probability": 1.0},
                    "schedule": "cosine",
                }
                _classifier(folder, error, seed=seed, recipe=recipe, metrics=metrics)
                np.save(folder / "predictions.npy", _predictions(error, classes, seed))
    write_json(root / "grid" / "parameters.json", {"models": MODELS, "provenance": _provenance(None)})
    write_arrays(root / "grid" / "augmentations.npz", examples(len(AUGMENTATIONS), classes))
    write_arrays(root / "grid" / "attention" / "vit.npz", rollouts(len(AUGMENTATIONS), classes))


def fabricate(root: Path, *, published_data: bool = True) -> Path:
    """Write a whole study under `root`/results; `published_data=False` runs it on `shapes` alone."""
    results = root / "results"
    if published_data:
        _data(results, "cifar10", 10, 50_000)
        _data(results, "cifar100", 100, 50_000)
    else:
        _data(results, "shapes", 10, 4_000)
    _self_supervision(results)
    _grid(results, 100 if published_data else 10)
    write_scene(results / "scenes/orbit", _provenance)
    return results
