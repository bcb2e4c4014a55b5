"""The pinned versions agree wherever they are written."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [pin for pins in PROJECT["optional-dependencies"].values() for pin in pins]
PINS = dict(pin.split("==") for pin in [*PROJECT["dependencies"], *EXTRAS])


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_pin_what_the_project_pins(path: Path) -> None:
    packages = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    assert packages
    for package in packages:
        name, version = package.split("==")
        assert PINS[name] == version, name


def test_every_direct_dependency_is_pinned_and_among_the_constraints() -> None:
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    canonical = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in constraints.items()}
    for name, version in PINS.items():
        assert canonical[name.lower()] == version, name
