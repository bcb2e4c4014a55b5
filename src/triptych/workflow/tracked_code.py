"""The code that a result depends on: a workflow script and the library files that it imports.

A job runs again for one of four reasons:

- its recipe: the settings that its rule has as a param changed;
- its data: an input file changed, or the fingerprint of a user's files, a param (`folder_fingerprint`);
- its code: Snakemake does not see what a script imports, so each rule has the digest of these files as a
  param, a `TrackedCode`. It is the digest of their syntax trees without comments, docstrings and log lines,
  and leaves out the modules of `UNTRACKED`;
- its outputs: one is missing, or was edited since the job wrote it (`records`).
"""

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value

SOURCE_ROOT = Path(__file__).parents[2]
SCRIPTS = SOURCE_ROOT.parent / "workflow/scripts"

# Edits of these modules, and of modules that only they import, do not make results stale: they change the
# speed of a job, what it prints, where it keeps copies, and how it stops, resumes and spreads over processes.
# Tests compare the compiled kernels with plain PyTorch, and resumed trainings with uninterrupted ones. The
# config reaches a job as its recipe, a param.
UNTRACKED = (
    "triptych.config",
    "triptych.data.shared",
    "triptych.kernels",
    "triptych.training.checkpoint",
    "triptych.training.memory",
    "triptych.training.stopping",
    "triptych.training.workers",
    "triptych.workflow.errors",
    "triptych.workflow.gpus",
    "triptych.workflow.job",
    "triptych.workflow.locks",
    "triptych.workflow.parent",
    "triptych.workflow.progress",
    "triptych.workflow.provenance",
    "triptych.workflow.records",
    "triptych.workflow.tracked_code",
)


@cache
def module_path(name: str) -> Path | None:
    """The file of a dotted module name under `src/`, or None if it is not there."""
    base = SOURCE_ROOT.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def is_tracked(module: str) -> bool:
    """Whether an edit of the module, given by its dotted name, makes results stale."""
    return not any(f"{module}.".startswith(f"{name}.") for name in UNTRACKED)


def _is_log_line(node: ast.AST) -> bool:
    """Whether a statement is `log.info(...)` or the like."""
    match node:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("log")))):
            return True
    return False


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring or another string on its own."""
    match node:
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def _normalised(node: Any, imports: list[ast.Import | ast.ImportFrom]) -> Any:
    """A syntax tree as nested lists, the same in all versions of Python, without strings and log lines.

    Import statements in it are added to `imports`.
    """
    if isinstance(node, list):
        return [_normalised(item, imports) for item in node if not (_is_text(item) or _is_log_line(item))]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    if isinstance(node, ast.JoinedStr):  # Python 3.12 adds empty pieces to some
        node.values = [piece for piece in node.values if getattr(piece, "value", None) != ""]
    fields = [(name, getattr(node, name, None)) for name in node._fields if name not in ("ctx", "kind")]
    # None and [] stand for what is absent, except as a value in the source
    there = [field for field in fields if isinstance(node, ast.Constant) or field[1] not in (None, [])]
    return [type(node).__name__, *([name, _normalised(value, imports)] for name, value in there)]


@cache
def _read(path: Path) -> tuple[str, list[str]]:
    """Digest of what a Python file does, and the dotted names of everything that it imports."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise TriptychError(f"{path}, line {error.lineno}: {error.msg}") from error
    except ValueError as error:  # not UTF-8, or a null character
        raise TriptychError(f"{path}: no Python source: {error}") from error
    imports: list[ast.Import | ast.ImportFrom] = []
    digest = digest_of_value(_normalised(tree, imports))
    inside = path.is_relative_to(SOURCE_ROOT)
    package = list(path.relative_to(SOURCE_ROOT).parent.parts) if inside else []
    names = []
    for node in imports:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return digest, names


def digest_of_source(path: Path) -> str:
    """Hex digest of what a Python file does, whatever its comments, docstrings, formatting and log lines.

    Raises:
        TriptychError: the file is no Python source.
    """
    return _read(path)[0]


def imported_names(path: Path) -> list[str]:
    """Dotted names of everything that a file may import, anywhere in it; relative ones made absolute.

    Of `from a import b` both `a` and `a.b`, which may be a module or not.

    Raises:
        TriptychError: the file is no Python source.
    """
    return _read(path)[1]


@cache
def _direct_imports(path: Path) -> frozenset[Path]:
    """Tracked library files that one file imports, with their packages' `__init__` files."""
    found = set()
    for name in imported_names(path):
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            module = ".".join(parts[:length])
            file = module_path(module) if is_tracked(module) else None
            if file is not None:
                found.add(file)
    return frozenset(found)


def tracked_files(*paths: Path) -> list[Path]:
    """The given files and every tracked library file that they import, directly or not, sorted.

    Raises:
        TriptychError: one of them is no Python source.
    """
    closure: set[Path] = set()
    waiting = [path.resolve() for path in paths]
    while waiting:
        path = waiting.pop()
        if path not in closure:
            closure.add(path)
            waiting.extend(_direct_imports(path))
    return sorted(closure)


class TrackedCode:
    """The code of a rule, as its param: a function of the wildcards that returns the digest.

    Args:
        script: name of the rule's script.
        modules: those that the script loads by name, or a function of the wildcards that returns them.
    """

    def __init__(self, script: str, modules: Iterable[str] | Callable[[Any], Iterable[str]] = ()) -> None:
        self.script = SCRIPTS / script
        self.modules = modules

    def files(self, wildcards: Any) -> list[Path]:
        """The tracked files of a job."""
        modules = self.modules(wildcards) if callable(self.modules) else self.modules
        return tracked_files(self.script, *filter(None, map(module_path, modules)))

    def __call__(self, wildcards: Any) -> str:
        """Hex digest of a job's code."""
        root = SOURCE_ROOT.parent
        files = self.files(wildcards)
        return digest_of_value({str(file.relative_to(root)): digest_of_source(file) for file in files})
