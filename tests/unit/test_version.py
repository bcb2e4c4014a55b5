"""One version: in pyproject.toml, the command, every result, CITATION.cff and CHANGELOG.md."""

import tomllib
from pathlib import Path

import pytest
import yaml

from triptych.__main__ import main
from triptych.workflow.provenance import provenance

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_command_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"triptych {VERSION}\n"


def test_without_options_it_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "python -m triptych.predict" in capsys.readouterr().out


def test_every_result_carries_the_version_of_the_source_that_made_it() -> None:
    assert provenance(recipe={})["versions"]["triptych"] == VERSION


def test_citation_and_changes_have_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
