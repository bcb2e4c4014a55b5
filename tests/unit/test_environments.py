"""The environments of conda have what their rules import, as the project pins it, and nothing else."""

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from triptych.workflow import tracked_code
from triptych.workflow.tracked_code import SCRIPTS, SOURCE_ROOT, imported_names, tracked_files

ROOT = SOURCE_ROOT.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [pin for pins in PROJECT["optional-dependencies"].values() for pin in pins]
PINS = dict(pin.split("==") for pin in [*PROJECT["dependencies"], *EXTRAS])
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
# Packages that another one pins itself, by that other one.
COMES_WITH = {"llvmlite": "numba", "markupsafe": "jinja2", "pydantic-core": "pydantic"}
NOT_NEEDED = {"snakemake"}  # brings itself into a script


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(environment: str) -> dict[str, str]:
    """Versions by package."""
    packages = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())["dependencies"][-1]["pip"]
    return dict(package.split("==") for package in packages)


def scripts_of() -> dict[str, set[str]]:
    """The scripts of all rules by the environment that their rule names."""
    found: dict[str, set[str]] = defaultdict(set)
    directives = r'conda:\s+"\.\./envs/(\w+)\.yaml".*?script:\s+"\.\./workflow/scripts/(\w+\.py)"'
    for rules in (ROOT / "rules").glob("*.smk"):
        for environment, script in re.findall(directives, rules.read_text(), flags=re.DOTALL):
            found[environment].add(script)
    return found


def imports(files: Iterable[Path]) -> set[str]:
    """Packages that library files import, besides Python's own and the project's."""
    found = set()
    distributions = packages_distributions()
    for name in {name for file in files for name in imported_names(file)}:
        top = name.split(".")[0]
        if top and top not in {*sys.stdlib_module_names, *NOT_NEEDED, "triptych"}:
            package = canonical(distributions[top][0])
            found.add(COMES_WITH.get(package, package))
        if name.startswith("torch.utils.tensorboard"):
            found.add("tensorboard")
    return found


@pytest.fixture
def all_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What makes no result stale is imported all the same."""
    monkeypatch.setattr(tracked_code, "UNTRACKED", ())
    tracked_code._direct_imports.cache_clear()
    yield
    tracked_code._direct_imports.cache_clear()


def test_every_script_belongs_to_a_rule_with_an_environment() -> None:
    assert set.union(*scripts_of().values()) == {path.name for path in SCRIPTS.glob("*.py")}
    assert sorted(scripts_of()) == ENVIRONMENTS


@pytest.mark.usefixtures("all_code")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_lists_what_its_rules_import_and_nothing_else(environment: str) -> None:
    kernels = (SOURCE_ROOT / "triptych/kernels").rglob("*.py")  # loaded by name
    models = (SOURCE_ROOT / "triptych/models").rglob("*.py") if environment == "learning" else ()
    scripts = [SCRIPTS / script for script in scripts_of()[environment]]
    needed = imports(tracked_files(*scripts, *kernels, *models))
    assert {canonical(name) for name in listed(environment)} == needed


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environments_pin_what_the_project_pins(environment: str) -> None:
    for name, version in listed(environment).items():
        assert PINS[name] == version, name


def test_every_direct_dependency_is_pinned_and_among_the_constraints() -> None:
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    versions = {canonical(name): version for name, version in constraints.items()}
    for name, version in PINS.items():
        assert versions[canonical(name)] == version, name


@pytest.mark.usefixtures("all_code")
def test_every_import_of_the_library_is_pinned() -> None:
    used = imports((SOURCE_ROOT / "triptych").rglob("*.py"))
    assert used <= {canonical(name) for name in PINS}
