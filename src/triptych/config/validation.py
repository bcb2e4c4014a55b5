"""The config, checked before anything is built from it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from triptych.config.checks import check_budgets, check_cells, check_names, check_trainings
from triptych.config.grid import Recipe
from triptych.config.messages import explain
from triptych.config.study import Study
from triptych.workflow.errors import TriptychError, printable

MAX_PROBLEMS = 50  # that a message lists


def validate_config(config: dict[str, Any]) -> None:
    """Check types, ranges, keys and names; fill in the defaults and sort the keys, in place.

    Raises:
        TriptychError: all problems that can be told at once, one a line that names the key and what it
            should be: first those of values and keys, then those of names, then those of knobs together.
    """
    refuse(_not_finite(config))
    try:
        checked = Study.model_validate(config).model_dump()
    except ValidationError as error:
        refuse(explain(error.errors()))
    for architecture in checked["architectures"].values():
        architecture["recipes"] = architecture["recipes"] or {
            checked["grid"]["recipe"]: Recipe().model_dump()
        }
    refuse(check_names(checked))
    refuse(problem for check in (check_cells, check_trainings, check_budgets) for problem in check(checked))
    config.clear()
    config.update(_sorted(checked))


def refuse(problems: Iterable[str]) -> None:
    """Raise `TriptychError` if there are any problems of the config: a line for each."""
    lines = [f"config: {printable(problem, 1000)}" for problem in dict.fromkeys(problems)]
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS:] = [f"config: {len(lines) - MAX_PROBLEMS} more problems are not listed"]
    if lines:
        raise TriptychError("\n".join(lines))


def typed(value: Any) -> Any:
    """A value of `--config KEY=VALUE` with the types of YAML; Snakemake leaves numbers inside of it text."""
    if isinstance(value, Mapping):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return yaml.safe_load(value) if isinstance(value, str) else value


def _not_finite(value: Any, place: str = "") -> Iterator[str]:
    """A limit does not keep out .nan, which is neither below nor above it, nor .inf."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value} but must be a finite number"
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{place}[{index}]")


def _sorted(value: Any) -> Any:
    """A copy with the keys of all dictionaries in order.

    Snakemake compares params by their text: without this, two keys that swap lines would rerun jobs.
    """
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return value
