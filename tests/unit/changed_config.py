"""A valid config with changes, and what is said about it."""

import copy
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from triptych.config.validation import validate_config
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT

ROOT = SOURCE_ROOT.parent
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[name]
    place[last] = value
    return config


def merged(**changes: Any) -> dict[str, Any]:
    """config.yaml with these keys, merged as Snakemake merges config files."""
    config = copy.deepcopy(CONFIG)
    update_config(config, copy.deepcopy(changes))
    return config


def checked(**changes: Any) -> dict[str, Any]:
    """The same, checked and with its defaults."""
    config = merged(**changes)
    validate_config(config)
    return config


def valid(path: str, value: Any) -> dict[str, Any]:
    """config.yaml with one value changed, checked and with its defaults."""
    config = changed(path, value)
    validate_config(config)
    return config


def complaints(config: dict[str, Any]) -> list[str]:
    """The lines of the error about a config."""
    with pytest.raises(TriptychError) as caught:
        validate_config(config)
    return str(caught.value).splitlines()


def complaint(config: dict[str, Any]) -> str:
    (line,) = complaints(config)
    return line
