"""The code that makes a result stale: what computes it, and nothing that only speeds up, shows or logs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.workflow import tracked_code
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import (
    SCRIPTS,
    SOURCE_ROOT,
    UNTRACKED,
    TrackedCode,
    digest_of_source,
    is_tracked,
    module_path,
    tracked_files,
)


def modules(*files: Path) -> set[str]:
    """Dotted names below `triptych`, without the packages' own files."""
    library = [file.relative_to(SOURCE_ROOT / "triptych") for file in files if SOURCE_ROOT in file.parents]
    return {".".join(file.with_suffix("").parts) for file in library if file.name != "__init__.py"}


def test_every_module_that_a_script_loads_is_tracked_or_loaded_by_untracked_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All scripts in one process, which is quicker; each for itself is a subset."""
    scripts = sorted(SCRIPTS.glob("*.py"))
    code = (
        f"import sys, json, runpy; [runpy.run_path(path) for path in {[str(path) for path in scripts]}];"
        "print(json.dumps([m.__file__ for n, m in list(sys.modules.items())"
        " if n.split('.')[0] == 'triptych' and m.__file__]))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    tracked = set(tracked_files(*scripts))
    monkeypatch.setattr(tracked_code, "UNTRACKED", ())
    tracked_code._direct_imports.cache_clear()
    try:
        untracked = tracked_files(*filter(None, map(module_path, UNTRACKED)))
    finally:
        tracked_code._direct_imports.cache_clear()
    packages = {SOURCE_ROOT / "triptych/kernels", SOURCE_ROOT / "triptych/config"}
    missing = {Path(file) for file in json.loads(loaded)} - tracked - set(untracked)
    assert not {file for file in missing if not packages & set(file.parents)}


def test_every_untracked_module_exists() -> None:
    assert all(module_path(name) for name in UNTRACKED)


# What decides every cell of the grid. A module that is new here makes all of them stale when it is edited.
CELL = {
    "augment": "augmentation geometry mixing",
    "classify": "architectures classifier",
    "data": "device packed splits",
    "experiments": "evaluation experiment operation_count training",
    "training": "batches compilation distributed history lars loop muon optimizer schedule step train_state "
    "weight_average",
    "workflow": "devices files plugins seeds",
}
NETWORKS = {"resnet": "resnet", "vit": "vit transformer mimetic_init"}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_cell_is_made_stale_by_its_network_its_training_and_no_other_network(network: str) -> None:
    files = TrackedCode("train_classifier.py", [f"triptych.models.{network}"]).files(None)
    expected = {**CELL, "models": NETWORKS[network]}
    assert modules(*files) == {
        f"{package}.{name}" for package, names in expected.items() for name in names.split()
    }


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_no_result_depends_on_kernels_progress_bars_or_another_parts_report(script: str) -> None:
    found = modules(*TrackedCode(script).files(None))
    assert not {name for name in found if name.startswith(("kernels", "view")) or name == "workflow.progress"}
    if not script.startswith(("tabulate", "plot", "write_report")):
        assert not {name for name in found if name.startswith("report")}


def digest(tmp_path: Path, source: str) -> str:
    path = tmp_path / f"{abs(hash(source))}.py"
    path.write_text(source)
    return digest_of_source(path)


SOURCE = '''"""Adds."""
import logging
log = logging.getLogger("triptych")
def add(a, b=0):
    """Sum."""
    log.info("adding %s", a)
    return a + b  # plainly
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# plainly", "# of course"),
        ('"""Adds."""', '"""Adds two numbers."""'),
        ('    """Sum."""\n', ""),
        ("adding %s", "now adding %s"),
        ('    log.info("adding %s", a)\n', ""),
        ("a + b", "(a\n            + b)"),
        ("(a, b=0)", "(a, b = 0)"),
    ],
)
def test_comments_docstrings_formatting_and_log_lines_do_not_count(
    tmp_path: Path, before: str, after: str
) -> None:
    assert before in SOURCE
    assert digest(tmp_path, SOURCE) == digest(tmp_path, SOURCE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a + b", "a - b"),
        ("b=0", "b=1"),
        ("b=0", "b=None"),
        ("b=0", "b=False"),
        ("b=0", "b=0.0"),
        ("b=0", "b=''"),
        ("b=0", "b"),
        ("a + b", "+a"),
        ("def add", "def plus"),
        ("(a, b", "(a, /, b"),
    ],
)
def test_everything_else_counts(tmp_path: Path, before: str, after: str) -> None:
    assert before in SOURCE
    assert digest(tmp_path, SOURCE) != digest(tmp_path, SOURCE.replace(before, after))


def test_a_digest_is_the_same_in_all_versions_of_python(tmp_path: Path) -> None:
    source = "@d\nclass A(B):\n    def f(self, x: int, *y, **z):\n        return f'{x!r:>{y}}', [None, b'']\n"
    assert digest(tmp_path, source)[:16] == "a2136bb68a340491"


def test_imports_inside_functions_and_from_packages_count(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "def f():\n    from triptych.workflow import seeds\n    import triptych.ssl.nt_xent as n\n"
    )
    assert modules(*tracked_files(script)) == {"workflow.seeds", "ssl.nt_xent"}


def test_relative_imports_and_a_users_modules_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_code, "SOURCE_ROOT", tmp_path)
    for name, text in {
        "mine/__init__.py": "",
        "mine/net.py": "from .parts import block\nfrom . import more",
        "mine/parts.py": "block = 1",
        "mine/more.py": "import own\nimport torch",
        "own.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    tracked_code.module_path.cache_clear()
    try:
        found = {path.name for path in tracked_files(tmp_path / "mine/net.py")}
    finally:
        tracked_code.module_path.cache_clear()
        tracked_code._direct_imports.cache_clear()
    assert found == {"__init__.py", "net.py", "parts.py", "more.py", "own.py"}


def test_untracked_packages_are_whole_names() -> None:
    assert not is_tracked("triptych.kernels.gemm.amx") and not is_tracked("triptych.kernels")
    assert is_tracked("triptych.kernels_of_mine")


def test_a_file_that_is_no_python_is_one_clear_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("x = 1\ndef f(:\n")
    with pytest.raises(TriptychError, match=r"script.py, line 2: invalid syntax"):
        tracked_files(script)
