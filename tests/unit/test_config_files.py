"""A config file that cannot be read is one line with its name, and with the line where there is one."""

import sys
from pathlib import Path

import pytest
import yaml

from triptych.config.config_files import named_config_files, problem_of
from triptych.workflow.tracked_code import SOURCE_ROOT

ROOT = SOURCE_ROOT.parent


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"grid: {seeds: [0]\n", "line 2, column 1: while parsing a flow mapping expected ',' or '}'"),
        (b"grid:\n  a: {b: 1\n  c: 2\n", "got ':' (it begins in line 2, column 6)"),
        (b"grid:\n\tseeds: [0]\n", "line 2, column 1: while scanning for the next token found character"),
        (b"grid:\n\tseeds: [0]\n", "indent with spaces, not with tabs"),
        (b'path: "C:\\data"\n', "a backslash has a special meaning: use single quotes"),
        (b"grid:\n  recipe: caf\xe9\n", "line 2 is not UTF-8 text; save the file as UTF-8"),
        ("grid: {}\n".encode("utf-16"), "line 1 is not UTF-8 text"),
        (b"grid: {}\nparts: \x00\n", "line 2: special characters are not allowed (#x0000)"),
        (b"- grid\n", "must hold keys with values, such as parts: [grid]"),
        (b"[1, 2]", "must hold keys with values"),
        (b"# nothing\n", "is empty"),
        (b"", "is empty"),
        (b"grid:\n  seeds: [0]\n  seeds: [1]\n", "line 3: the key 'seeds' stands here twice"),
        (b"grid: &g\n  cells: *g\n", "line 1: what the anchor (&) stands for contains its own alias"),
        (b"grid: *g\n", "line 1, column 7: found undefined alias 'g'"),
        (b"grid: !!python/name:os.system\n", "line 1, column 7: could not determine a constructor"),
        (b"? {a: 1}\n: 2\n", "line 1, column 3: while constructing a mapping found unhashable key"),
        (b"day: 2026-02-30\n", "day is out of range"),
        (b"a: 1\n---\nb: 2\n", "expected a single document"),
        (b"grid: " + 1000 * b"[" + 1000 * b"]", "is nested too deeply"),
    ],
)
def test_each_problem_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    problem = problem_of(tmp_path / "mine.yaml")
    assert problem is not None and expected in problem
    assert "\n" not in problem


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    assert problem_of(tmp_path) == "is a folder, not a config file"
    assert problem_of(tmp_path / "none.yaml") == "there is no such config file"
    assert "a target stands before the options" in (problem_of(tmp_path / "results/tables/grid.md") or "")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfgrid: {seeds: [0]}\n",
        b'{\n\t"grid": {"seeds": [0]}\n}',
        b"base: &b {epochs: 3}\ngrid: {cells: {vit-mixup: {<<: *b, batch_size: 64}}}\n",
        b"grid:\r\n  seeds: [0]\r\n",
    ],
    ids=["bom", "json", "merge", "windows"],
)
def test_other_spellings_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    assert problem_of(tmp_path / "mine.yaml") is None


@pytest.mark.parametrize("file", [ROOT / "config.yaml", *sorted((ROOT / "presets").glob("*.yaml"))], ids=str)
def test_the_projects_own_files_are_readable(file: Path) -> None:
    assert problem_of(file) is None


def test_the_files_are_those_of_the_command_line() -> None:
    arguments = "all --configfile a.yaml b.yaml --cores 2 --configfiles=c.yaml -n --config parts=[grid]"
    assert [path.name for path in named_config_files(arguments.split())] == ["a.yaml", "b.yaml", "c.yaml"]


PROFILES = ("default", "generic", "kubernetes", "sge", "slurm")


def run_definitions(profile: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run what Snakemake runs first of a profile, as for a command line; returns the names it defines."""
    monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
    monkeypatch.setattr("sys.excepthook", sys.excepthook)  # both are undone after the test
    monkeypatch.setenv("TRIPTYCH_CALLER", "")
    settings = yaml.safe_load((ROOT / f"profiles/{profile}/config.yaml").read_text())
    names: dict[str, object] = {}
    for statement in settings["__definitions__"]:
        exec(statement, names)
    return names


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("option", ["-s", "--snakefile"])
def test_a_profile_belongs_to_the_project_of_the_snakefile(
    profile: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "profiles").mkdir(parents=True)
    (other / "profiles/definitions.py").write_text("raise AssertionError\n")
    (other / "mine.yaml").write_text("parts: [grid]\n")
    monkeypatch.chdir(other)
    arguments = [option, str(ROOT / "Snakefile"), "--configfile", str(other / "mine.yaml")]
    assert run_definitions(profile, arguments, monkeypatch)["project"] == ROOT


def test_ctrl_c_while_snakemake_plans_is_one_line_and_a_mistake_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    run_definitions("default", [], monkeypatch)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "triptych: stopped; to continue, run the same command again\n"
    sys.excepthook(ZeroDivisionError, ZeroDivisionError("by zero"), None)
    assert "ZeroDivisionError: by zero" in capsys.readouterr().err


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_runs_the_check(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("grid: [\n")
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit):
        run_definitions(profile, ["--configfile", str(tmp_path / "mine.yaml")], monkeypatch)
    assert f"triptych: {tmp_path / 'mine.yaml'}: line 2, column 1: " in capsys.readouterr().err
