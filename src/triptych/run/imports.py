"""Which library modules a workflow script depends on, found without importing anything.

Snakemake tracks inputs and params, not what a script imports. The rules therefore name the
transitive closure of their script's `triptych` imports as an input, and editing a module
reruns exactly the rules that use it.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE_ROOT = Path(__file__).parents[2]
PACKAGE = "triptych"


@cache
def module_path(name: str) -> Path | None:
    """The file of a dotted module name inside the library, or None if there is none."""
    base = SOURCE_ROOT.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def direct_imports(path: Path) -> frozenset[Path]:
    """Library files that one file imports anywhere in it, with their packages' `__init__` files."""
    found = set()
    for name in _imported_names(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        for length in range(1, len(parts) + 1):
            module = module_path(".".join(parts[:length]))
            if module is not None:
                found.add(module)
    return frozenset(found)


def module_closure(script: str | Path) -> list[str]:
    """The script itself and every library file it imports, directly or not, sorted."""
    closure: set[Path] = set()
    waiting = [Path(script).resolve()]
    while waiting:
        path = waiting.pop()
        if path not in closure:
            closure.add(path)
            waiting.extend(direct_imports(path))
    return sorted(map(str, closure))
