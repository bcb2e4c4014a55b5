"""Tables as csv, Markdown and LaTeX, and the result files that they are made of."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_pages import make_tables
from report_results import runs

from triptych.report.results import Result, read_result
from triptych.report.statistics import estimate
from triptych.report.tables import Table, escape_latex, escape_markdown, latex, markdown, sentences
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json, write_json


@pytest.mark.parametrize("text", ["p ≥ 0.05", "10¹⁵", "± × − ≈ † α –", "“text”"])
def test_latex_gets_ascii_for_the_characters_of_the_notes(text: str) -> None:
    assert escape_latex(text).isascii()


def test_markdown_and_latex_show_every_character_literally() -> None:
    table = Table("50 % of A_B & C", ("x|y", "α ± β"), (("a_b*c", "<i>"), ("#1", "$2^3~\\")), ("{note}",))
    text = markdown(table)
    assert r"| x\|y | α ± β |" in text
    assert r"| a\_b\*c | \<i\> |" in text
    tex = latex(table)
    assert r"\caption{50 \% of A\_B \& C}" in tex
    assert r"\#1 & \$2\textasciicircum{}3\textasciitilde{}\textbackslash{} \\" in tex
    assert r"\{note\}" in tex


def test_latex_does_not_read_the_beginning_of_a_row_as_an_option_of_the_line_before() -> None:
    tex = latex(Table("t", ("a", "b"), (("[ours]", "1"), ("* net", "2"))))
    assert "{}[ours] & 1" in tex and "{}* net & 2" in tex


@given(st.text())
def test_no_text_can_break_out_of_a_markdown_cell_or_a_latex_line(text: str) -> None:
    shown = escape_markdown(text)
    assert "\n" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")
    bare = escape_latex(text)
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}"):
        bare = bare.replace(command, "")
    assert "%" not in bare.replace(r"\%", "")
    assert "&" not in bare.replace(r"\&", "")


def test_a_table_with_nothing_published_beside_it_has_no_brackets() -> None:
    value = estimate(runs("vit-mixup", 48.0), "test_top1_error")
    table = Table("t", ("a", "b", "c"), (("one", value, None),))
    for text in (markdown(table), latex(table)):
        assert "48.00" in text and "(" not in text.split("48.00")[1] and "brackets" not in text


def test_a_sentence_does_not_end_inside_of_a_name() -> None:
    text = "St. Gallen: of 4 classes, only “Mt. Fuji. West” is right (J. Doe. 2020). It is 0.5. “a”: b."
    assert sentences(text) == [
        "St. Gallen: of 4 classes, only “Mt. Fuji. West” is right (J. Doe. 2020).",
        "It is 0.5.",
        "“a”: b.",
    ]


def test_ragged_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table("t", ("a", "b"), (("only one",),))


def test_results_without_provenance_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", {"test_top1_error": 3.0})
    with pytest.raises(TriptychError, match="not a result file"):
        read_result(tmp_path / "metrics.json")
    (tmp_path / "cut.json").write_text('{"a": 1, ')
    with pytest.raises(TriptychError, match=r"cut\.json"):
        read_result(tmp_path / "cut.json")


def test_a_result_that_lacks_a_number_says_which() -> None:
    with pytest.raises(TriptychError, match="test_top9_error"):
        runs("vit-mixup", 1.0)[0].number("test_top9_error")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("results/grid/vit-mixup/seed12/metrics.json", "grid/vit-mixup"),
        ("/somewhere/results/probe/random/seed0/metrics.json", "probe/random"),
        ("results/data/shapes/dataset.json", "data/shapes"),
        ("results/scenes/orbit/sfm.json", "scenes/orbit/sfm"),
        ("results/scenes/orbit/radiance/metrics.json", "scenes/orbit/radiance"),
    ],
)
def test_all_seeds_of_a_run_share_one_source(path: str, source: str) -> None:
    assert Result(Path(path), {}, {}).source == source


def test_the_scripts_write_three_formats_that_agree_with_pandas(study_results: Path) -> None:
    results = study_results
    make_tables(results)
    rows = pd.read_csv(results / "tables/grid_top5.csv").set_index(["architecture", "augmentation"])
    for (architecture, augmentation), row in rows.iterrows():
        files = sorted((results / "grid" / f"{architecture}-{augmentation}").glob("seed*/metrics.json"))
        errors = pd.Series([read_json(file)["test_top5_error"] for file in files])
        assert row["n"] == len(errors) == 3
        assert row["mean"] == pytest.approx(errors.mean())
        assert row["std"] == pytest.approx(errors.std())
    assert rows.loc[("vit", "cutmix"), "published"] == 17.32
    best = rows.loc[("vit", "cutmix")]
    shown = f"{best['mean']:.2f} ± {best['std']:.2f} † (17.32)"
    assert shown in (results / "tables/grid_top5.md").read_text()
    tex = shown.replace("±", r"$\pm$").replace("†", r"$\dagger$")
    assert tex in (results / "tables/grid_top5.tex").read_text()
    rows = pd.read_csv(results / "tables/self_supervision.csv").set_index(["method", "metric"])
    found = rows.loc[("simclr_labels1", "test_top1_accuracy")]
    assert (found["n"], found["mean"]) == (3, pytest.approx(61.7))
    text = (results / "tables/self_supervision.md").read_text()
    assert "| Linear probe, 1 % of the labels | 61.70 ± 0.36 | 22.40 ± 0.36 |" in text
    assert "| Fine-tuned, 1 % of the labels | 66.80 ± 0.36 | – |" in text
    names = {path.name for path in (results / "tables").iterdir()}
    grid = ("grid_top1", "grid_top5", "grid_published", "grid_differences", "grid_cost")
    stems = ("self_supervision", *grid, "parameters")
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("csv", "md", "tex")}
