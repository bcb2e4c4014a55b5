"""The locked requirements are the constraints, each with its hashes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-torch.lock")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(file: str) -> dict[str, tuple[str, str]]:
    """By package: its version, and what belongs to it: markers and hashes."""
    entries = re.split(r"^(?=\w)", (ROOT / file).read_text(), flags=re.MULTILINE)
    found = {}
    for entry in filter(None, entries):
        name, version, rest = re.match(r"([\w.-]+)==(\S+)(.*)", entry, flags=re.DOTALL).groups()  # type: ignore[union-attr]
        found[canonical(name)] = (version, rest)
    return found


LOCKED = {name: entry for file in LOCKS for name, entry in locked(file).items()}


def test_every_constraint_is_locked_in_the_same_version() -> None:
    for line in (ROOT / "constraints.txt").read_text().split():
        name, version = line.split("==")
        assert LOCKED.get(canonical(name), ("missing",))[0] == version, f"{line}: run `make lock`"


def test_what_only_the_locks_have_belongs_to_some_platforms_or_installs_packages() -> None:
    constrained = {canonical(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().split()}
    for name in LOCKED.keys() - constrained - {"setuptools"}:
        assert "sys_platform" in LOCKED[name][1], f"{name} is not among the constraints"


def test_every_locked_package_has_hashes() -> None:
    for name, (_, rest) in LOCKED.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", rest), name


def test_pytorch_and_its_cuda_libraries_are_in_a_file_of_their_own() -> None:
    assert {"torch", "torchvision", "triton"} <= locked("requirements-torch.lock").keys()
    assert not any(name.startswith(("torch", "nvidia", "cuda")) for name in locked("requirements.lock"))


@pytest.mark.parametrize("file", LOCKS)
def test_the_locks_name_no_package_index(file: str) -> None:
    assert "://" not in (ROOT / file).read_text()
