"""Every knob is declared once: config.yaml and docs/config.md show what the declarations say."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic.fields import FieldInfo

from triptych.config.__main__ import documented_sections, main
from triptych.config.data import SOURCES, Dataset
from triptych.config.knobs import Section
from triptych.config.messages import plain
from triptych.config.study import Study
from triptych.config.training import Training
from triptych.workflow.tracked_code import SOURCE_ROOT

ROOT = SOURCE_ROOT.parent
TEXT = (ROOT / "config.yaml").read_text()
LINES = TEXT.splitlines()


def written_knobs(
    node: Any, annotation: Any = Study, place: str = ""
) -> Iterator[tuple[str, int, FieldInfo]]:
    """Place, line and declaration of every knob that config.yaml gives a value."""
    kind, _ = plain(annotation)
    if annotation == Dataset:
        kind = SOURCES[next(value.value for key, value in node.value if key.value == "source")]
    if isinstance(kind, type) and issubclass(kind, Section):
        for key, value in node.value:
            field = kind.model_fields[key.value]
            yield f"{place}.{key.value}", key.start_mark.line, field
            yield from written_knobs(value, field.annotation, f"{place}.{key.value}")
    elif get_origin(kind) is dict and get_args(kind)[1] is not Any:
        for _, value in node.value:
            yield from written_knobs(value, get_args(kind)[1], f"{place}.<name>")


def is_section(field: FieldInfo) -> bool:
    kind, _ = plain(field.annotation)
    return isinstance(kind, type) and issubclass(kind, Section)


WRITTEN = list(written_knobs(yaml.compose(TEXT)))


@pytest.mark.parametrize(("title", "section"), documented_sections())
def test_every_knob_and_section_is_explained(title: str, section: type[Section]) -> None:
    assert section.__doc__
    for name, field in section.model_fields.items():
        if not is_section(field):
            assert field.description and "\n" not in field.description, f"{title}.{name}"


def test_the_page_of_all_knobs_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == (ROOT / "docs/config.md").read_text(), "run `make docs`"


@pytest.mark.parametrize(("title", "section"), documented_sections())
def test_config_yaml_shows_every_knob(title: str, section: type[Section]) -> None:
    words = set(re.findall(r"(\w+):", TEXT))
    assert set(section.model_fields) - {"title"} <= words


def test_of_the_sections_that_are_no_tables_config_yaml_gives_every_knob_but_common_ones() -> None:
    places = {place for place, _, _ in WRITTEN}
    for place, _, field in WRITTEN:
        kind, _ = plain(field.annotation)
        if is_section(field) and "<name>" not in place:
            common = Training.model_fields if issubclass(kind, Training) else {}
            missing = {name for name in kind.model_fields if f"{place}.{name}" not in places}
            assert missing <= set(common), place


def test_a_comment_beside_a_knob_is_its_explanation() -> None:
    for place, number, field in WRITTEN:
        name = place.rsplit(".", 1)[1]
        comment = re.fullmatch(rf"\s*{name}: .*?# (.*)", LINES[number])
        if comment and not is_section(field) and get_origin(field.annotation) is not dict:
            assert comment[1] == field.description, place


def test_the_defaults_that_config_yaml_tells_of_every_training_are_the_declared_ones() -> None:
    start = LINES.index("    # Every training has these knobs, too, with these defaults:") + 1
    told = {}
    for line in LINES[start : LINES.index(next(line for line in LINES if line.startswith("  probe:")))]:
        name, value, comment = re.fullmatch(r"    # (\w+): (\S+) +# (.*)", line).groups()  # type: ignore[union-attr]
        field = Training.model_fields[name]
        assert (yaml.safe_load(value), comment) == (field.default, field.description)
        told[name] = value
    simclr = yaml.safe_load(TEXT)["self_supervision"]["simclr"]
    assert told.keys() | simclr.keys() >= Training.model_fields.keys()
