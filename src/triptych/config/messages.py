"""Errors of the config in plain words: one line that names the key and says what it should be."""

import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic_core import ErrorDetails

from triptych.config.data import SOURCES, Dataset, Source, all_keys
from triptych.config.knobs import Section
from triptych.config.study import Study
from triptych.workflow.errors import without_passwords

Loc = Sequence[int | str]

# Keys that older versions had, if the section has the new one: an error tells it.
RENAMED_KEYS = {
    "augmentation": "base_augmentation",
    "decay": "gamma",
    "few_labels": "label_fraction",
    "final_share": "min_lr_ratio",
    "least": "min",
    "least_share": "min_component_fraction",
    "mixing": "augmentation",
    "most": "max",
    "size": "scale",
    "stages": "progressive_resizing",
}
LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
KINDS = {int: "integer", float: "number", bool: "boolean", str: "string", list: "list", tuple: "list"}


def explain(errors: Sequence[ErrorDetails]) -> list[str]:
    """A line for each problem, in the order of the places, without passwords in addresses."""
    lines = sorted((_place(error["loc"]), _explain(error)) for error in errors)
    return list(dict.fromkeys(without_passwords(line) for _, line in lines))


def did_you_mean(value: object, known: Iterable[object]) -> str:
    """`; did you mean 'folder'?`, or nothing if no known value is similar, as for numbers."""
    if not isinstance(value, str):
        return ""
    close = difflib.get_close_matches(value[:100].lower(), map(str, known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def plain(annotation: Any) -> tuple[Any, bool]:
    """An annotation without what `Annotated` adds and without null, and whether null is allowed."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType) and types.NoneType in get_args(annotation):
        return plain(get_args(annotation)[0])[0], True
    return annotation, False


def annotation_at(loc: Loc) -> Any:
    """The annotation of a place in the config, as pydantic names places."""
    annotation: Any = Study
    for part in loc:
        if annotation == Dataset:  # `part` names the member of the union
            annotation = SOURCES[str(part)]
            continue
        kind, _ = plain(annotation)
        if isinstance(kind, type) and issubclass(kind, Section):
            annotation = kind.model_fields[str(part)].annotation
        elif get_origin(kind) is tuple:
            annotation = get_args(kind)[int(part)]
        else:
            annotation = get_args(kind)[-1]
    return annotation


def _place(loc: Loc) -> str:
    parts = [*loc[:2], *loc[3:]] if loc[:1] == ("datasets",) else loc
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".") or "the top level"


def _explain(error: ErrorDetails) -> str:
    kind, loc, value, context = error["type"], error["loc"], error["input"], error.get("ctx", {})
    place, parent = _place(loc), _place(loc[:-1] or [""])
    if kind == "invalid_key":
        return f"{parent}: the key {loc[-1]!r} must be text"
    if loc[-1:] == ("[key]",):
        text = context["text"] if kind == "problem" else f": the key {value!r} must be text"
        return f"{_place(loc[:-2])}{text}"
    if kind == "problem":
        return f"{place}{context['text']}"
    if kind == "extra_forbidden":
        return _explain_unknown_key(str(loc[-1]), parent, plain(annotation_at(loc[:-1]))[0])
    if kind == "missing" and isinstance(loc[-1], int):
        return (
            f"{parent} has {len(value)} entries but needs {len(get_args(plain(annotation_at(loc[:-1]))[0]))}"
        )
    if kind == "missing":
        return f"{parent} lacks the key '{loc[-1]}'; add it"
    if kind == "union_tag_not_found":
        return f"{place} lacks the key 'source'; add it"
    if kind == "union_tag_invalid":
        known = f"{', '.join(map(repr, SOURCES))}{did_you_mean(context['tag'], SOURCES)}"
        return f"{place}.source is {context['tag']!r} but must be one of {known}"
    if kind in LIMITS:
        name, words = LIMITS[kind]
        return f"{place} is {value!r} but must be {words} {context[name]:.12g}"
    if kind == "too_short":
        return f"{place} has {context['actual_length']} entries but needs at least {context['min_length']}"
    if kind == "too_long":
        return f"{place} has {context['actual_length']} entries but may have {context['max_length']}"
    return _explain_type(kind, loc, value)


def _explain_unknown_key(key: str, place: str, section: type[Section]) -> str:
    known = list(section.model_fields)
    if RENAMED_KEYS.get(key) in known:
        return f"{place}.{key} is now {RENAMED_KEYS[key]}; rename it".removeprefix("the top level.")
    if issubclass(section, Source) and key in all_keys():
        return f"{place}: '{key}' is not read by this source, which reads {', '.join(known)}"
    if close := did_you_mean(key, known):
        return f"unknown key '{key}' in {place}{close}"
    hint = f"; what your module takes stands under {place}.options" if "options" in known else ""
    return f"unknown key '{key}' in {place}; known keys: {', '.join(known)}{hint}"


def _explain_type(kind: str, loc: Loc, value: Any) -> str:
    place = _place(loc)
    wanted, nullable = plain(annotation_at(loc))
    if isinstance(value, Mapping) and (loc[-1], wanted) == ("augmentation", str):
        return f"{place} is now {RENAMED_KEYS['augmentation']}; rename it"
    if kind == "literal_error":
        values = [*map(repr, get_args(wanted)), *(["null"] if nullable else [])]
        known = f"{', '.join(values)}{did_you_mean(value, get_args(wanted))}"
        return f"{place} is {value!r} but must be one of {known}"
    name = KINDS.get(get_origin(wanted) or wanted, "mapping")
    text_number = isinstance(value, str) and name == "number" and "e" in value.lower()
    shown = "null" if value is None else repr(value)
    hint = " (YAML reads 1e-3 as text; write 1.0e-3)" if text_number else ""
    if value is None and name == "mapping":
        hint = " (the section is empty: give it keys, or remove its line)"
    return f"{place} is {shown} but must be of type {name}{' or null' if nullable else ''}{hint}"
