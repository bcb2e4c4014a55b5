"""Short trainings that compare recipes: which of them to run, their data, and the training."""

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from triptych.data.packed import PackedDataset, load_packed
from triptych.training.checkpoint import Checkpoints
from triptych.training.loop import Fitted, fit
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")


def wanted(variants: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Names of variants in BENCH_VARIANTS (all), seeds in BENCH_SEEDS (0).
    Raises `TriptychError` if there is no such variant.
    """
    names = os.environ.get("BENCH_VARIANTS", "").split() or list(variants)
    if unknown := sorted(set(names) - set(variants)):
        raise TriptychError(
            f"BENCH_VARIANTS: no variant {', '.join(unknown)}; there are {', '.join(variants)}"
        )
    return names, [int(seed) for seed in os.environ.get("BENCH_SEEDS", "0").split()]


def packed(name: str) -> PackedDataset:
    """A data set that the workflow has packed; a `TriptychError` if it has not."""
    folder = Path("results/data") / name
    if not (folder / "dataset.json").exists():
        raise TriptychError(
            f"{folder}: {name} is not there; run snakemake --cores 1 {folder / 'dataset.json'} first"
        )
    return load_packed(folder)


def fit_and_forget(
    training: Any, recipe: Mapping[str, Any], *, examples: int, seed: int, device: torch.device, name: str
) -> Fitted:
    """`fit`, without keeping its files, of a training with `model`, `prepare` and `loss`.

    The weights of `model` are drawn before. It is evaluated by `validate` after each epoch if it has that.
    """
    label = f"{name}, seed {seed}"
    with tempfile.TemporaryDirectory() as folder:
        return fit(
            training.model,
            training.prepare,
            training.loss,
            num_examples=examples,
            recipe=recipe,
            seed=seed,
            device=device,
            label=label,
            checkpoints=Checkpoints(Path(folder) / "checkpoints", label, every=float("inf")),
            folder=Path(folder),
            evaluate=getattr(training, "validate", None),
        )


def means(name: str, **columns: Sequence[float]) -> dict[str, float]:
    """Each column's mean over the seeds and, of several, the first column's standard deviation."""
    found = {f"{name}_{what}": mean(values) for what, values in columns.items()}
    what, values = next(iter(columns.items()))
    if len(values) > 1:
        found[f"{name}_{what}_std"] = stdev(values)
    log.info("%s: %s", name, found)
    return found
