"""Checks that config files are readable YAML, before Snakemake reads them.

Snakemake reads the files of the command line first of all; its own errors name neither file nor line. The
profiles run this file as a script, alone: it imports nothing of the project.
"""

import json
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000  # with all aliases written out
MAX_DEPTH = 100
CALLER = "TRIPTYCH_CALLER"  # as in triptych.workflow.errors


def named_config_files(arguments: Sequence[str]) -> Iterator[Path]:
    """The files that a command line of Snakemake names by --configfile or --configfiles."""
    reading = False
    for argument in arguments:
        option, _, value = argument.partition("=")
        if argument.startswith("-"):
            reading = option in ("--configfile", "--configfiles")
            if reading and value:
                yield Path(value)
        elif reading:
            yield Path(argument)


def problem_of(path: Path) -> str | None:
    """What is wrong with a config file, as one line without its name; None: nothing."""
    if path.is_dir():
        return "is a folder, not a config file"
    if not path.exists():
        hint = "" if path.suffix in (".yaml", ".yml") else "; a target stands before the options"
        return f"there is no such config file{hint}"
    if not path.is_file():
        return None  # a pipe can be read only once
    if path.stat().st_size > MAX_BYTES:
        return f"has {path.stat().st_size / 1e6:.0f} MB; this is not a config file"
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8 text; save the file as UTF-8"
    try:
        content_is_mapping = isinstance(json.loads(text), dict)
        return None if content_is_mapping else "must hold keys with values, such as parts: [grid]"
    except (ValueError, RecursionError):
        pass
    try:
        return _problem_of_yaml(text)
    except yaml.MarkedYAMLError as error:
        return _describe(error, text)
    except yaml.reader.ReaderError as error:
        return f"line {text.count(chr(10), 0, error.position) + 1}: {error.reason} (#x{error.character:04x})"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:  # a date that does not exist
        return f"{error}"


def _problem_of_yaml(text: str) -> str | None:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    except _Refused as refused:
        return str(refused)
    if root is None:
        return "is empty; write keys with values, such as parts: [grid], or leave the file out"
    if not isinstance(root, yaml.MappingNode):
        return "must hold keys with values, such as parts: [grid]"
    try:
        size = _size(root, {})
    except _Refused as refused:
        return str(refused)
    if size > MAX_VALUES:
        return f"its aliases (&, *) stand for more than {MAX_VALUES:,} values; write out what is meant"
    loader.construct_document(root)
    return None


class _Refused(Exception):
    """The reason."""


class _Loader(yaml.SafeLoader):
    """A loader that ends early in deeply nested files, whose scanning takes quadratic time."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Refused("is nested too deeply")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values below a node, aliases written out; each node is visited once."""
    line = node.start_mark.line + 1
    if id(node) in sizes:
        if sizes[id(node)] == 0:
            raise _Refused(f"line {line}: what the anchor (&) stands for contains its own alias (*)")
        return sizes[id(node)]
    sizes[id(node)] = 0
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_size(child, sizes) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != "<<":
                    raise _Refused(f"line {key.start_mark.line + 1}: the key '{key.value}' stands here twice")
                seen.add(key.value)
            size += _size(child, sizes)
    sizes[id(node)] = size
    return size


def _describe(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    reason = " ".join(filter(None, [error.context, error.problem]))
    if mark is None:
        return reason
    lines = text.splitlines()
    tab = mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]
    hint = "; indent with spaces, not with tabs" if tab else ""
    if "escape" in reason:
        hint = "; in double quotes a backslash has a special meaning: use single quotes"
    began = error.context_mark
    if began is not None and began.line < mark.line:
        hint = f" (it begins in line {began.line + 1}, column {began.column + 1}){hint}"
    return f"line {mark.line + 1}, column {mark.column + 1}: {reason}{hint}"


def main(arguments: Sequence[str]) -> None:
    """Check config.yaml and the files of a command line; exit with one line about the first bad one.

    Also keeps the current folder in the environment, which jobs inherit: with --directory they run elsewhere.
    """
    os.environ[CALLER] = os.getcwd()
    for path in [Path(__file__).parents[3] / "config.yaml", *named_config_files(arguments)]:
        problem = problem_of(path)
        if problem:
            print(f"triptych: {path.absolute()}: {problem}", file=sys.stderr)
            raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
    runpy.run_path(str(Path(__file__).parents[1] / "workflow/preflight.py"), run_name="__main__")
