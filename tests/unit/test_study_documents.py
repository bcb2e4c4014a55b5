"""What the documents say about the study is what its results say, and these are as they were collected."""

from pathlib import Path

import pytest
from report_results import CIFAR100, runs

from triptych.study.collect import MANIFEST
from triptych.study.documents import BEGIN, END, between_markers, study_page, study_tables, write_documents
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_file, read_json, write_json

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "study"
RESULTS = ROOT / "benchmarks/RESULTS.md"


def collected() -> dict[str, dict[str, object]]:
    return read_json(STUDY / MANIFEST) if (STUDY / MANIFEST).exists() else {}


def test_the_page_of_the_study_is_what_its_results_give() -> None:
    assert (ROOT / "docs/study.md").read_text() == study_page(STUDY), "run `make study-page`"


def test_the_tables_of_the_study_are_what_its_results_give() -> None:
    text = RESULTS.read_text()
    assert text == between_markers(text, study_tables(STUDY), RESULTS), "run `make study-page`"


def test_every_result_of_the_study_is_as_it_was_collected_and_listed() -> None:
    listed = {
        f"{name}/{file}": digest
        for name, entry in collected().items()
        for file, digest in entry["files"].items()
    }
    found = {
        path.relative_to(STUDY).as_posix(): digest_of_file(path)
        for path in STUDY.rglob("*")
        if path.is_file() and path.parent != STUDY
    }
    assert found == listed


def test_every_result_of_the_study_is_of_a_commit_and_has_a_machine_and_a_command() -> None:
    for name, entry in collected().items():
        assert not str(entry["revision"]).endswith("+changes") and entry["machine"], name
        assert str(entry["command"]).startswith(f"snakemake results/{name}/")


def test_only_numbers_are_kept() -> None:
    suffixes = {path.suffix for path in STUDY.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".csv", ".npy", ".md", ".yaml"}
    assert sum(path.stat().st_size for path in STUDY.rglob("*") if path.is_file()) < 5e6


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with two cells and a probe, of three seeds each."""
    write_json(tmp_path / "data/cifar100/dataset.json", {**CIFAR100, "provenance": {}})
    cells = {"resnet18-cutmix": (24.0, 24.2, 24.1), "resnet18-baseline": (26.2, 26.4, 26.5)}
    found = [result for cell, errors in cells.items() for result in runs(cell, *errors)]
    for result in found:
        path = tmp_path / result.path.relative_to("results")
        write_json(path, {**result.values, "provenance": result.provenance})
        path.with_name("history.csv").write_text("epoch,train_loss,validation_loss\n1,2.0,2.5\n")
    for seed, accuracy in enumerate((79.0, 79.4, 78.9)):
        values = {"test_top1_accuracy": accuracy, "provenance": {"seed": seed}}
        write_json(tmp_path / f"probe/simclr/seed{seed}/metrics.json", values)
    return tmp_path


def test_documents_follow_the_results(small: Path) -> None:
    results, page = small / "RESULTS.md", small / "study.md"
    results.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert write_documents(small, page, results) == [page, results]
    assert write_documents(small, page, results) == []
    text = page.read_text()
    assert (
        "SimCLR with a linear probe reaches a top-1 accuracy of 79.10 % [78.44, 79.76] (3 seeds), not higher"
        in text
    )
    assert "ResNet18, baseline minus CutMix: +2.27" in text and "5 of 6 comparisons: not run." in text
    tables = results.read_text()
    assert tables.startswith("before\n") and tables.endswith("after\n") and "old" not in tables
    assert "| SimCLR + linear probe | 79.10 ± 0.26 (81.05) |" in tables
    assert "| ResNet18, Baseline | 26.01 | 26.37 ± 0.15 | +0.36 \\[−0.02, +0.74\\] | not lower |" in tables


def test_missing_markers_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="the markers of the study's tables are missing"):
        between_markers("no markers", "", tmp_path)
