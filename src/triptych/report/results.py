"""Reading what the other stages wrote: result files with their provenance, and histories."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json


@dataclass(frozen=True)
class Result:
    """A result file: its numbers, and where they come from."""

    path: Path
    values: dict[str, Any]
    provenance: dict[str, Any]

    def number(self, key: str) -> float:
        """A number of this file; NaN if the run diverged (JSON null)."""
        if key not in self.values:
            raise TriptychError(f"{self.path}: no '{key}' in this result; delete the file and run again")
        value = self.values[key]
        return math.nan if value is None else float(value)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.provenance["seed"])

    @property
    def source(self) -> str:
        """The question this file answers: its path without the results folder, seed and file name.

        All seeds of one run share it, for example `grid/vit-mixup` or `scenes/orbit/sfm`.
        """
        parts = list(self.path.with_suffix("").parts)
        if "results" in parts:
            parts = parts[len(parts) - parts[::-1].index("results") :]
        named = [part for part in parts if not re.fullmatch(r"seed\d+|metrics|dataset", part)]
        return "/".join(named)


def read_result(path: str | Path) -> Result:
    """Read a result file; raises `TriptychError` if it is not JSON or has no provenance."""
    path = Path(path)
    try:
        values = read_json(path)
        provenance = values.pop("provenance")
    except (ValueError, KeyError, AttributeError) as error:
        raise TriptychError(f"{path}: not a result file of this study; delete it and run again") from error
    return Result(path, values, provenance)


def read_results(paths: Iterable[str | Path]) -> list[Result]:
    """Read several result files, in the order given."""
    return [read_result(path) for path in paths]


def read_history(path: str | Path) -> pd.DataFrame:
    """The curve file of a training: one row an epoch or a step; empty cells are NaN."""
    return pd.read_csv(path)


def group_cells(
    results: Iterable[Result], *, architectures: Sequence[str], augmentations: Sequence[str]
) -> dict[tuple[str, str], list[Result]]:
    """Results of `…/{architecture}-{augmentation}/seed{seed}/metrics.json`, by cell, in the order given.

    Cells without results are left out.
    """
    by_folder: dict[str, list[Result]] = {}
    for result in results:
        by_folder.setdefault(result.path.parents[1].name, []).append(result)
    return {
        (architecture, augmentation): by_folder[f"{architecture}-{augmentation}"]
        for architecture in architectures
        for augmentation in augmentations
        if f"{architecture}-{augmentation}" in by_folder
    }
