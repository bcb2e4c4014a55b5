"""What the reproduced report published: results, training curves, recipes, and the names it uses."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

FOLDER = Path(__file__).parent / "published"
DATASET_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
CELL_TITLES = {
    "resnet18": "ResNet18",
    "vit": "ViT",
    "baseline": "Baseline",
    "mixup": "Mixup",
    "cutout": "Cutout",
    "cutmix": "CutMix",
}


def dataset_title(name: str) -> str:
    """`CIFAR-10` for `cifar10`; other names as they are."""
    return DATASET_TITLES.get(name, name)


def is_own(dataset: Mapping[str, Any]) -> bool:
    """Whether a data set, by its `dataset.json`, is the user's own: nothing published belongs beside it."""
    source = dataset.get("source")
    folder = isinstance(source, Mapping) and source.get("kind") == "folder"
    return folder and dataset["name"] not in DATASET_TITLES


@cache
def _results() -> dict[tuple[str, str, str], float]:
    table = pd.read_csv(FOLDER / "published_results.csv", index_col=["experiment", "run", "metric"])
    return table["value"].to_dict()


def published_value(experiment: str, run: str, metric: str) -> float | None:
    """The published accuracy or error (percent), or None where the report has none."""
    return _results().get((experiment, run, metric))


def published_runs(experiment: str) -> list[str]:
    """Names of the runs of which the report gives results, in its order."""
    return list(dict.fromkeys(run for part, run, _ in _results() if part == experiment))


@cache
def _curves() -> dict[tuple[str, str], pd.DataFrame]:
    table = pd.read_csv(FOLDER / "published_curves.csv")
    table["epoch"] += 1  # the logs count from 0, we count finished epochs
    return {
        (str(run), str(metric)): rows[["epoch", "value"]].reset_index(drop=True)
        for (run, metric), rows in table.groupby(["run", "metric"], sort=False)
    }


def published_curve(run: str, metric: str) -> pd.DataFrame | None:
    """Columns epoch (1-based) and value of a published training log, or None."""
    return _curves().get((run, metric))


def published_epochs(run: str) -> int | None:
    """How many epochs a published training took, by its log."""
    curve = published_curve(run, "train_loss")
    return None if curve is None else int(curve["epoch"].max())


@cache
def published_recipes() -> dict[str, Any]:
    """Data sets, networks and recipes of the published trainings: see `published_recipes.yaml`."""
    return yaml.safe_load((FOLDER / "published_recipes.yaml").read_text(encoding="utf-8"))


def same_dataset(experiment: str, dataset: Mapping[str, Any]) -> bool:
    """Whether the values of our `dataset.json` are of the published data set."""
    return bool(dataset["name"] == published_recipes()["datasets"][experiment])
