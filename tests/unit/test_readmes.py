"""README.md and README.zh-CN.md say the same, and their table of results is computed from `study/`."""

import re
from pathlib import Path

import pytest

from triptych.study.documents import between_markers
from triptych.study.readme import READMES, read_rows, results_table

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in READMES)
FENCE = re.compile(r"```(\w+)\n(.*?)```", flags=re.DOTALL)
LINK = re.compile(r"\]\(([^)]+)\)")


def code(text: str) -> list[tuple[str, str]]:
    """The code blocks without their comments, which are translated."""
    return [(language, re.sub(r" +# .*", "", block)) for language, block in FENCE.findall(text)]


def links(text: str) -> list[str]:
    """The links to other pages; those to headings of the page itself are translated."""
    return sorted(link for link in set(LINK.findall(text)) - set(READMES) if not link.startswith("#"))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def numbers(text: str) -> list[str]:
    prose = re.sub(r"`[^`]*`", "", LINK.sub("]", FENCE.sub("", text)))
    return sorted(re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\d\w])", prose))


@pytest.mark.parametrize("parts", [code, links, numbers])
def test_both_readmes_have_the_same_code_links_and_numbers(parts) -> None:  # type: ignore[no-untyped-def]
    assert parts(ENGLISH) == parts(CHINESE)


def test_each_readme_leads_to_the_other() -> None:
    assert "(README.zh-CN.md)" in ENGLISH.splitlines()[0] and "(README.md)" in CHINESE.splitlines()[0]


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=READMES)
def test_links_within_a_page_lead_to_its_headings(text: str) -> None:
    anchors = {
        f"#{slug(heading)}" for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), flags=re.MULTILINE)
    }
    inside = {link for link in LINK.findall(text) if link.startswith("#")}
    assert len(inside) == 4 and inside <= anchors


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_results_is_what_the_study_gives(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    table = results_table(ROOT / "study", READMES[name])
    assert text == between_markers(text, table, ROOT / name), "run `make study-page`"


def test_results_from_before_the_study_are_in_the_list_of_measurements() -> None:
    measured = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    for row in read_rows(ROOT / "study"):
        if "earlier" in row:
            assert f"{row['earlier']['value']:.2f} %" in measured, row["result"]


def test_a_recorded_result_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "table.yaml").write_text((ROOT / "study/table.yaml").read_text())
    run = tmp_path / "grid/resnet18-baseline/seed0/metrics.json"
    run.parent.mkdir(parents=True)
    run.write_text('{"test_top1_error": 24.5, "epochs": 20, "provenance": {"seed": 0}}')
    lines = results_table(tmp_path, "en").splitlines()
    (row,) = (line for line in lines if "`grid/resnet18-baseline`" in line)
    assert "| 24.50 (20 epochs, 1 seed) | 26.01 |" in row
