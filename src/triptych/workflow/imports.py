"""Which library modules a workflow script depends on, found without importing anything.

Snakemake tracks inputs and params, not what a script imports. The rules therefore name the
transitive closure of their script's `triptych` imports as an input, and editing a module
reruns exactly the rules that use it.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from triptych.workflow.errors import TriptychError

SOURCE_ROOT = Path(__file__).parents[2]


@cache
def module_path(name: str) -> Path | None:
    """The file of a dotted module name under `src/`, or None if it is not there."""
    base = SOURCE_ROOT.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imported_names(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Dotted names of everything that a file of `package` may import; relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _parse(path: Path) -> ast.AST:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise TriptychError(f"{path}, line {error.lineno}: {error.msg}") from error
    except ValueError as error:  # no UTF-8, or a zero in it
        raise TriptychError(f"{path}: no Python source: {error}") from error


@cache
def direct_imports(path: Path) -> frozenset[Path]:
    """Library files that one file imports anywhere in it, with their packages' `__init__` files.

    Raises:
        TriptychError: the file is no Python source.
    """
    found = set()
    inside = path.is_relative_to(SOURCE_ROOT)
    package = list(path.relative_to(SOURCE_ROOT).parent.parts) if inside else []
    for name in _imported_names(_parse(path), package):
        parts = name.split(".")
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
