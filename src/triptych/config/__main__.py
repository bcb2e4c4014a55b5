"""Write the documentation's tables of all knobs: `python -m triptych.config > docs/config.md`."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from triptych.config.data import SOURCES, Dataset
from triptych.config.knobs import OR_AUTO, Matching, Section
from triptych.config.messages import KINDS, plain
from triptych.config.study import Study
from triptych.config.training import LabelledTraining, Training

PREFACE = """# All settings

The keys of [`config.yaml`](../config.yaml), of the presets and of your own config files. `config.yaml` is
always read first; presets and your files change some of its values. A **default** below applies only to a key
that none of these files gives, for example in a recipe, data set or scene of your own. It may differ from the
value in `config.yaml`.

`make docs` writes this page from `src/triptych/config/`.
"""
BOUNDS = {
    "between": "between",
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "multiple_of": "a multiple of",
}


def documented_sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section once, with its title."""
    yield "Training recipes", LabelledTraining
    yield "The top level", Study
    seen: set[type[Section]] = set()
    for name, field in Study.model_fields.items():
        for title, section in _sections(name, field.annotation):
            if section not in seen:
                seen.add(section)
                yield title, section


def _sections(place: str, annotation: Any) -> Iterator[tuple[str, type[Section]]]:
    """The sections at a place and below it."""
    kind, _ = plain(annotation)
    if annotation == Dataset:
        for section in dict.fromkeys(SOURCES.values()):
            sources = ", ".join(source for source, used in SOURCES.items() if used is section)
            yield f"`{place}` of source {sources}", section
    elif _is_section(kind):
        yield f"`{place}`", kind
        for name, field in kind.model_fields.items():
            yield from _sections(f"{place}.{name}", field.annotation)
    elif get_origin(kind) is dict:
        yield from _sections(f"{place}.<name>", get_args(kind)[1])
    elif get_origin(kind) is list:
        yield from _sections(f"{place}[]", get_args(kind)[0])


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def values(annotation: Any, limits: Iterable[Any] = ()) -> str:
    """The values that a knob accepts, in words."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return values(inner, [*more, *limits])
    kind, nullable = plain(annotation)
    if nullable:
        return f"{values(get_args(annotation)[0], limits)}, or null"
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        return "; ".join(values(part) for part in get_args(kind))
    if get_origin(kind) is list:
        return f"list: {values(get_args(kind)[0])}"
    if _is_section(kind):
        return "a section, below"
    found: dict[str, Any] = {}
    limits = list(limits)
    for limit in limits:
        for item in limit.metadata if isinstance(limit, FieldInfo) else [limit]:
            if isinstance(item, Matching):
                return item.words
            found |= {name: getattr(item, name) for name in BOUNDS if hasattr(item, name)}
    if {"ge", "le"} <= found.keys():
        found = {"between": f"{found.pop('ge')} and {found.pop('le')}", **found}
    bounds = [f"{BOUNDS[name]} {value}" for name, value in found.items()]
    return ", ".join([KINDS.get(kind, "mapping"), *bounds, *(["or `auto`"] if OR_AUTO in limits else [])])


def _default(value: Any) -> str:
    """As YAML expects it: it would read 1e-05 as text."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json.dumps(value)


def _row(name: str, field: FieldInfo) -> str:
    kind, nullable = plain(field.annotation)
    explanation = field.description or inspect.cleandoc(kind.__doc__).splitlines()[0]
    if field.is_required():
        default = "must be given"
    elif _is_section(kind) and not nullable:
        default = ""
    else:
        default = f"`{_default(field.default)}`"
    cells = [f"`{name}`", default, values(field.annotation, field.metadata), explanation]
    return "| " + " | ".join(re.sub(r"([|<*])", r"\\\1", cell) for cell in cells) + " |"


def table(section: type[Section]) -> str:
    """The knobs of a section; of a training only those that it adds or whose default it changes."""
    lines = [inspect.cleandoc(section.__doc__ or ""), ""]
    fields = dict(section.model_fields)
    common = LabelledTraining if issubclass(section, LabelledTraining) else Training
    if issubclass(section, Training) and section is not LabelledTraining:
        without = "" if common is LabelledTraining else " without `label_smoothing`"
        lines += [f"It has the settings of [training recipes](#training-recipes){without}, and these:", ""]
        for name, field in common.model_fields.items():
            if fields[name].default == field.default:
                del fields[name]
    rows = [_row(name, field) for name, field in fields.items()]
    return "\n".join([*lines, "| setting | default | values | |", "| --- | --- | --- | --- |", *rows])


def main() -> None:
    """Print the page."""
    sections = [f"## {title}\n\n{table(section)}" for title, section in documented_sections()]
    print("\n\n".join([PREFACE.strip(), *sections]))


if __name__ == "__main__":
    main()
