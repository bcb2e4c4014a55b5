"""The closure of a script's imports is what a real import loads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.workflow.errors import TriptychError
from triptych.workflow.imports import SOURCE_ROOT, module_closure

ROOT = SOURCE_ROOT.parent
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_closure_holds_every_library_file_that_the_script_loads(script: Path) -> None:
    code = (
        f"import sys, json, runpy; runpy.run_path({str(script)!r});"
        "print(json.dumps([m.__file__ for n, m in list(sys.modules.items())"
        " if n.split('.')[0] == 'triptych' and m.__file__]))"
    )
    loaded = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert loaded and set(loaded) <= set(module_closure(script))


def test_the_closure_is_no_larger_than_the_imports() -> None:
    probe = {Path(path).stem for path in module_closure(ROOT / "workflow/scripts/probe_encoder.py")}
    assert {"linear_probe", "features", "softmax_regression", "weight_decay_search", "seeds"} <= probe
    assert probe.isdisjoint({"simclr", "engine", "resnet", "classifier", "mixing", "hash_grid"})


def test_imports_inside_functions_and_from_packages_count(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "def f():\n    from triptych.workflow import seeds\n    import triptych.ssl.heads as h\n"
    )
    names = {Path(path).stem for path in module_closure(script)}
    assert {"script", "seeds", "heads", "__init__"} <= names


def test_relative_imports_and_modules_of_ones_own_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triptych.workflow import imports

    monkeypatch.setattr(imports, "SOURCE_ROOT", tmp_path)
    for name, text in {
        "mine/__init__.py": "",
        "mine/net.py": "from .parts import block\nfrom . import more",
        "mine/parts.py": "block = 1",
        "mine/more.py": "import own\nimport torch",
        "own.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    imports.module_path.cache_clear()
    try:
        found = {Path(path).name for path in module_closure(tmp_path / "mine/net.py")}
    finally:
        imports.module_path.cache_clear()
        imports.direct_imports.cache_clear()
    assert found == {"__init__.py", "net.py", "parts.py", "more.py", "own.py"}


def test_a_file_that_is_no_python_is_one_clear_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("x = 1\ndef f(:\n")
    with pytest.raises(TriptychError, match=r"script.py, line 2: invalid syntax"):
        module_closure(script)
