"""Write docs/messages.md, all errors and warnings of the code: `python -m triptych.workflow.list_messages`.

They are found in the syntax trees. What a message fills in is shown as `…`. By convention a message says what
is wrong and, after a semicolon, what to do.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "src/triptych"
ERRORS = {
    *("TriptychError", "UnreadableImage", "unreadable_images", "WorkflowError", "invalid", "problem"),
    *("_problem", "_Refused", "_fail", "Permanent", "Temporary", "refuse", "__init__"),
}
# Modules whose functions yield or return messages, or raise OSError with one.
RETURNING = {
    *("config/checks.py", "config/config_files.py", "config/knobs.py", "config/messages.py"),
    *("config/validation.py", "workflow/errors.py", "workflow/failures.py", "workflow/preflight.py"),
    *("data/image_files.py", "sfm/diagnosis.py", "ssl/monitor.py", "radiance/box_check.py"),
}
TOPICS = {  # and the modules below `src/triptych`: of all beginnings of a path the longest counts
    "The config": ("config",),
    "Settings that do not fit the images": ("checks",),
    "Images and data sets": ("data",),
    "Films, photographs and camera poses": ("data/video", "sfm"),
    "Scene files": ("scenes",),
    "Radiance fields": ("radiance",),
    "Trainings and evaluations": ("training", "experiments", "ssl", "classify", "models", "augment"),
    "Your own architectures and augmentations": (
        *("checks/networks", "classify/architectures", "augment/augmentation", "workflow/plugins"),
    ),
    "Downloads and archives of CIFAR": ("data/download", "data/http", "data/cifar", "data/pickles"),
    "Predictions and export": ("predict", "export_onnx", "classify/trained"),
    "The viewer": ("view",),
    "Tables, figures and the page": ("report", "study"),
    "The machine and the run": ("",),
}
OTHERWISE = {  # what to do where a message itself does not say it
    "The config": "change the key that the line begins with",
    "Settings that do not fit the images": "change the setting that the line begins with",
    "Images and data sets": "correct the file or folder that the line begins with, or remove it",
    "Films, photographs and camera poses": "[if a scene fails](capture_trouble.md) has causes and remedies",
    "Scene files": "write the file again with the program that made it, or correct it in an editor",
    "Radiance fields": "[if a scene fails](capture_trouble.md) has causes and remedies",
    "Trainings and evaluations": "change the setting that the line names; a warning may be ignored",
    "Your own architectures and augmentations": "correct the file that the line names, and run again",
    "Downloads and archives of CIFAR": "the next mirror is tried; if all fail, the last line says what to do",
    "Predictions and export": "correct the argument that the line names",
    "The viewer": "correct the argument that the line names",
    "Tables, figures and the page": "correct the argument or the file that the line names",
    "The machine and the run": "the line says where; after that, run the same command again",
}
GAP = "…"
PREFACE = """# Error messages and warnings

<!-- Written by `make docs` from the source code; edits are lost. -->

Search this page (Ctrl-F) for some words of a message, without names and numbers: “…” stands for those. An
error ends the job; a warning does not. [If something goes wrong](trouble.md) has more advice on the
frequent ones.
"""


def pattern(node: ast.expr, names: dict[str, ast.expr]) -> str:
    """The text of an expression, with `…` for what is only known when it runs."""
    match node:
        case ast.Constant(str() as text):
            return text
        case ast.JoinedStr(values):
            return "".join(pattern(value, {}) for value in values)
        case ast.BinOp(left, ast.Add(), right):
            return pattern(left, names) + pattern(right, names)
        case ast.BinOp(ast.Constant(str() as text), ast.Mod()):
            return text
        case ast.Call(ast.Name("one_line" | "printable"), [text, *_]):
            return pattern(text, names)
        case ast.Name(name) if name in names:
            return pattern(names[name], {})
    return GAP


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """The branches of `a if b else c`."""
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    else:
        yield node


def _assigned(function: ast.AST) -> dict[str, ast.expr]:
    """Texts that a function gives a name, once."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _messages(tree: ast.Module, *, returning: bool) -> Iterator[tuple[str, ast.expr, dict[str, ast.expr]]]:
    """Kind, expression and named texts of each message of a module."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inner = {node for function in functions for node in ast.walk(function) if node is not function}
    for scope in functions:
        if scope in inner:
            continue
        names = _assigned(scope)
        for node in ast.walk(scope):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log"), "warning"), [text, *_]):
                    yield "warning", text, names
                case ast.Call(ast.Name(name) | ast.Attribute(_, name), arguments) if arguments and (
                    name in ERRORS or (returning and name == "OSError")
                ):
                    yield from (("error", text, names) for text in arguments)
                case ast.Return(ast.expr() as text) | ast.Yield(ast.expr() as text) if returning:
                    yield "error", text, names


@cache
def collect() -> dict[str, dict[str, list[str]]]:
    """The patterns of all messages, by topic and kind, each once."""
    found: dict[str, dict[str, list[str]]] = {topic: {} for topic in TOPICS}
    for path in [*sorted(SOURCES.rglob("*.py")), *sorted((ROOT / "rules/inputs").glob("*.smk"))]:
        place = path.relative_to(SOURCES).as_posix() if path.is_relative_to(SOURCES) else path.name
        starts = {start: topic for topic, all_of in TOPICS.items() for start in all_of}
        topic = starts[max(filter(place.startswith, starts), key=len)]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for kind, node, names in _messages(tree, returning=place in RETURNING):
            for branch in _alternatives(node):
                text = " ".join(re.sub(r"%[-+.\d]*[a-z]", GAP, pattern(branch, names)).split())
                text = re.sub(rf"{GAP}([ .,:=(]{{0,3}}{GAP})+", GAP, text)
                if len(re.findall(r"\w+", text)) > 2:
                    found[topic].setdefault(kind, []).append(text)
    return found


def _row(text: str) -> str:
    what, _, cure = text.partition("; ")
    if not re.search(r"\w", what) or what.count("(") > what.count(")"):
        what, cure = text, ""
    if not re.search(r"\w", cure):
        cure = ""
    return " | ".join(
        re.sub(r"([*<\[|])", r"\\\1", part.lstrip(f",;:. {GAP}").rstrip("; ")) for part in (what, cure)
    )


def page() -> str:
    """The text of docs/messages.md."""
    lines = [PREFACE]
    for topic, kinds in collect().items():
        lines.append(f"## {topic}\n\nWhere the second column is empty: {OTHERWISE[topic]}.\n")
        for kind, texts in sorted(kinds.items()):
            lines += [f"| {kind} | what to do |", "| --- | --- |"]
            lines += [
                f"| {_row(text)} |" for text in sorted(set(texts), key=lambda text: text.lstrip("… :'"))
            ]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
