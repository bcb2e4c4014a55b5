"""Every result that README.md and docs/ tell is in study/, in RESULTS.md or in the published figures.

A result is a number with a unit (%, dB, times, GB and so on) outside of code. It is found if one of these
sources has a number that rounds to it. docs/development/ is left out: it is a record of measurements itself.
"""

import csv
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from triptych.report.published import FOLDER

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    # docs/config.md has settings, docs/study.md is computed from study/
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in ("config.md", "study.md")),
]
UNITS = (
    "%|dB|°|degrees?|times|x|seconds?|minutes?|hours?|days?|s|ms|min|h|GiB|GB|MB|images/s|images per second"
)
NUMBER = re.compile(rf"(?<![\w.,/^-])(\d[\d,]*(?:\.\d+)?)\s?({UNITS})(?![\w/])")
NUMERIC = re.compile(r"[\d.,± -]+")  # a cell of a table with numbers alone: its header names the unit
# Settings, limits and sums, which nothing has to measure.
NOT_RESULTS = {
    "README.md": {"14 hours"},  # the plan's, as tests/workflow/test_plan.py checks
    "start.md": {"14 hours", "1 GB", "100 MB"},  # the plan's; sums of sizes, rounded up
    "capture.md": {"60 degrees"},  # a limit
    "own_images.md": {
        "13 %",
        "19.7 GB",
    },  # the share of a class in an example; 100,000 images of 256 x 256 x 3 bytes
    # sizes of files, which follow from the numbers of parameters and pixels; numbers of calls times 1 ms
    "scale.md": {"45 MB", "185 MB", "21 MB", "50 GB", "180 MB", "15 s", "47 s"},
    "self_supervision.md": {"120 minutes"},  # a setting
    "statistics.md": {"80 %"},  # a level
}


def prose(page: Path) -> str:
    """A page without its code, whose numbers are settings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`", "", text)


def results_told(page: Path) -> Iterator[tuple[str, str]]:
    """The numbers with a unit on a page: number and unit."""
    for number, unit in NUMBER.findall(prose(page)):
        yield number.replace(",", ""), unit


@cache
def measured() -> dict[str, list[float]]:
    """The numbers of all sources by unit; those of cells with numbers alone under ""."""
    text = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    found: dict[str, list[float]] = {"": []}
    for number, unit in NUMBER.findall(text):
        found.setdefault(unit, []).append(float(number.replace(",", "")))
    for row in re.findall(r"^\|.*\|$", text, flags=re.MULTILINE):
        for cell in filter(NUMERIC.fullmatch, row.split("|")):
            # Small integers are too common to tell anything.
            found[""] += map(float, re.findall(r"\d+\.\d+|\d{3,}", cell.replace(",", "")))
    for path in (ROOT / "study").rglob("metrics.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        found[""] += [float(value) for value in values.values() if isinstance(value, int | float)]
    with (FOLDER / "published_results.csv").open(encoding="utf-8") as stream:
        found[""] += [float(row["value"]) for row in csv.DictReader(stream)]
    return found


def is_measured(number: str, unit: str) -> bool:
    """Whether a source has a number, in this unit or in a table, that rounds to this text."""
    half = 0.5 * 10.0 ** -len(number.partition(".")[2])
    sources = measured().get(unit, []) + measured()[""]
    return any(abs(value - float(number)) <= half * (1 + 1e-9) for value in sources)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_result_on_a_page_has_been_measured(page: Path) -> None:
    told = list(results_told(page))
    allowed = NOT_RESULTS.get(page.name, set())
    shown = {f"{number} {unit}" for number, unit in told}
    unknown = {f"{number} {unit}" for number, unit in told if not is_measured(number, unit)} - allowed
    assert unknown == set(), "measure it and add it to benchmarks/RESULTS.md, or leave it out"
    assert allowed <= shown, "an exception that is not needed any more"


def test_a_number_that_no_source_has_is_noticed() -> None:
    assert is_measured("83.1", "%") and is_measured("81.05", "%") and is_measured("30.6", "dB")
    assert (
        not is_measured("12.345", "%") and not is_measured("99.99", "dB") and not is_measured("9876", "hours")
    )
