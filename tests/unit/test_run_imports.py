"""The closure of a script's imports is what a real import loads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.run.imports import SOURCE_ROOT, module_closure

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
    assert {"probe", "engine", "resnet", "geometry"} <= probe
    assert probe.isdisjoint({"simclr", "nt_xent", "classifier", "vit", "mixing", "hash_grid"})


def test_imports_inside_functions_and_from_packages_count(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def f():\n    from triptych.run import seeds\n    import triptych.nn.heads as h\n")
    names = {Path(path).stem for path in module_closure(script)}
    assert {"script", "seeds", "heads", "__init__"} <= names
