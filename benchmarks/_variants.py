"""Short trainings that compare recipes: which of them to run, their data, and the training."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych.data.packed import PackedDataset, load_packed
from triptych.training.checkpoint import Checkpoints
from triptych.training.history import Row
from triptych.training.loop import Batch, Fitted, Inputs, fit
from triptych.workflow.errors import TriptychError


def wanted(variants: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Names of variants in BENCH_VARIANTS (all), seeds in BENCH_SEEDS (0).

    Raises:
        TriptychError: there is no such variant.
    """
    names = os.environ.get("BENCH_VARIANTS", "").split() or list(variants)
    if unknown := sorted(set(names) - set(variants)):
        raise TriptychError(
            f"BENCH_VARIANTS: no variant {', '.join(unknown)}; there are {', '.join(variants)}"
        )
    return names, [int(seed) for seed in os.environ.get("BENCH_SEEDS", "0").split()]


def packed(name: str) -> PackedDataset:
    """A data set that the workflow has packed.

    Raises:
        TriptychError: it has not.
    """
    folder = Path("results/data") / name
    if not (folder / "dataset.json").exists():
        raise TriptychError(
            f"{folder}: {name} is not there; run snakemake --cores 1 {folder / 'dataset.json'} first"
        )
    return load_packed(folder)


def fit_and_forget(
    model: nn.Module,
    prepare: Callable[[Batch], Inputs],
    loss_of: Callable[[nn.Module, Inputs], Tensor],
    *,
    num_examples: int,
    recipe: Mapping[str, Any],
    seed: int,
    device: torch.device,
    label: str,
    evaluate: Callable[[], Row] | None = None,
) -> Fitted:
    """`fit`, without keeping its files."""
    with tempfile.TemporaryDirectory() as folder:
        return fit(
            model,
            prepare,
            loss_of,
            num_examples=num_examples,
            recipe=recipe,
            seed=seed,
            device=device,
            label=label,
            checkpoints=Checkpoints(Path(folder) / "checkpoints", label, every=float("inf")),
            folder=Path(folder),
            evaluate=evaluate,
        )
