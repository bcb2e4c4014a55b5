"""Result files of other jobs with their provenance, and histories of trainings."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, BaseModel, FiniteFloat, NonNegativeInt, PositiveInt

from triptych.workflow.errors import TriptychError, printable
from triptych.workflow.files import read_json

PathLike = str | Path

NAMED = 4  # most runs in a warning
WARNED = "⚠"  # marks a number of a run whose log has a warning, and the warning


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


class _Hardware(BaseModel, strict=True):
    memory_gib: FiniteFloat | None = None


class _Provenance(BaseModel, strict=True):
    """The types of what the page needs of a provenance; whatever else there is may be anything."""

    seed: int | None = None
    wall_seconds: FiniteFloat | None = None
    finished: Annotated[str, AfterValidator(_time)] | None = None
    hardware: _Hardware | None = None
    versions: dict[str, str] | None = None
    revision: str | None = None
    warnings: list[str] = []


class _Counts(BaseModel, strict=True):
    train: PositiveInt
    test: NonNegativeInt


class _Values(BaseModel, strict=True):
    """The types of what the page needs of any result and of a data set's description."""

    name: str = "?"
    counts: _Counts | None = None
    validation: NonNegativeInt = 0
    test_looks: int = 1
    warnings: list[str] = []


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
        if value is not None and (not isinstance(value, int | float) or abs(value) > 1e300):
            raise TriptychError(f"{self.path}: '{key}' is no number; delete the file and run again")
        return math.nan if value is None else float(value)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        if self.provenance.get("seed") is None:
            raise TriptychError(f"{self.path}: its provenance has no seed; delete the file and run again")
        return int(self.provenance["seed"])

    @property
    def warnings(self) -> list[str]:
        """What the log of its job warned of, and what was wrong at the end of a training."""
        return [*self.values.get("warnings", []), *self.provenance.get("warnings", [])]

    @property
    def place(self) -> Path:
        """The file's path, from the root of the project if it is read from another folder."""
        return Path(*(part for part in self.path.parts if part != ".."))

    @property
    def source(self) -> str:
        """The run: the file's path without the results folder, seed and file name.

        All seeds of a run share it, for example `grid/vit-mixup` or `scenes/orbit/sfm`.
        """
        parts = list(self.place.with_suffix("").parts)
        if "results" in parts:
            parts = parts[len(parts) - parts[::-1].index("results") :]
        named = [part for part in parts if not re.fullmatch(r"seed\d+|metrics|dataset", part)]
        return "/".join(named)


def warnings_of(results: Iterable[Result]) -> list[str]:
    """The warnings of results: one line each, with the runs and seeds that have it."""
    runs: dict[str, list[str]] = {}
    for result in results:
        seed = result.provenance.get("seed")
        run = result.source if seed is None else f"{result.source}, seed {seed}"
        for text in dict.fromkeys(result.warnings):
            plain = text.removeprefix(f"{result.source}/seed{seed}: ").rstrip(".")
            runs.setdefault(plain, []).append(run)
    return [f"{_some(list(dict.fromkeys(names)))}: {text}." for text, names in runs.items()]


def _some(names: Sequence[str]) -> str:
    """The names, or the first of many."""
    first, more = names[:NAMED], len(names) - NAMED
    return "; ".join([*first, *([f"{more} more"] if more > 0 else [])])


def test_looks_note(runs: Mapping[str, Sequence[Result]]) -> str:
    """How often test images were evaluated, for the results of all seeds by title."""
    looks = {
        title: max((int(result.values.get("test_looks", 1)) for result in results), default=1)
        for title, results in runs.items()
    }
    repeated = [f"{title} ({count} times)" for title, count in looks.items() if count > 1]
    if not repeated:
        return "Each run was evaluated on the test images once."
    return (
        f"Evaluated on the test images more than once: {', '.join(repeated)}. The results differed, so the "
        "last may have been preferred for them."
    )


def read_result(path: str | Path) -> Result:
    """Read a result file; raises `TriptychError` if it is not JSON or has no provenance."""
    path = Path(path)
    try:
        values = read_json(path)
        provenance = values.pop("provenance")
        _Provenance.model_validate(provenance)
        _Values.model_validate(values)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise TriptychError(f"{path}: not a result file of this study; delete it and run again") from error
    return Result(path, values, provenance)


def read_results(paths: Iterable[str | Path]) -> list[Result]:
    """Read several result files, in the order given."""
    return [read_result(path) for path in paths]


def read_history(path: str | Path) -> pd.DataFrame:
    """The curve file of a training: one row per epoch or a step; empty cells are NaN.

    Raises:
        TriptychError: the file is torn or damaged.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("its last line is incomplete")
        return pd.read_csv(StringIO(text))
    except ValueError as error:  # pandas' errors are, too
        raise TriptychError(
            f"{path} cannot be read ({printable(str(error).strip())}); delete it and run again"
        ) from error


def duration(seconds: float) -> str:
    """`8.4 s`, `3 min 20 s`, `2 h 5 min`, `1 d 3 h`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def describe_machine(hardware: Mapping[str, Any]) -> str:
    """One line about the machine of a provenance."""
    facts = [
        hardware.get("gpu"),
        hardware.get("cpu"),
        f"{cores} core{'s' * (cores > 1)}" if (cores := hardware.get("cores")) else None,
        f"{hardware['memory_gib']:g} GiB" if hardware.get("memory_gib") else None,
        hardware.get("system"),
    ]
    return ", ".join(str(fact) for fact in facts if fact)
