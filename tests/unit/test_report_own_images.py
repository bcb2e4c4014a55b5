"""The page of one's own images: what was found in them, and nothing of the published report."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from report_pages import TITLES, _figures, _seeds, _self_supervision, grid_files, main_of, make_page
from report_results import fabricate
from test_report_html import Page

from triptych.report.class_results import (
    chance_level,
    class_rows,
    class_table,
    has_top5,
    one_class_warnings,
    resolution_note,
)
from triptych.report.page import images_of
from triptych.report.part1_figures import feature_map_figure
from triptych.report.published import is_own
from triptych.report.results import Result, warnings_of

CLASSES = ["normal", "benign", "malignant", "rare <1>"]
SUMMARY = "4 classes, 458 training, 115 test images (normal 400, benign 40, …), 2 skipped: notes.txt, a.db"
DATASET = {
    "name": "tissue",
    "classes": CLASSES,
    "superclasses": None,
    "superclass_of_class": None,
    "counts": {"train": 458, "test": 115},
    "class_counts": {"train": [400, 40, 12, 6], "test": [100, 10, 3, 2]},
    "source": {"kind": "folder", "path": "/data/tissue", "summary": SUMMARY},
}


def answers(*shares: float | None, balanced: float = 25.0) -> dict[str, Any]:
    return {"test_class_accuracies": list(shares), "test_balanced_accuracy": balanced}


def result(seed: int = 0, **values: Any) -> Result:
    return Result(Path(f"results/grid/vit-mixup/seed{seed}/metrics.json"), values, {"seed": seed})


def flat(figures: dict[str, Any] | list[str] | str) -> list[Path]:
    if isinstance(figures, str):
        return [Path(figures)]
    values = figures.values() if isinstance(figures, dict) else figures
    return [path for value in values for path in flat(value)]


def change(path: str | Path, **values: Any) -> None:
    path = Path(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture(scope="module")
def own_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four unequal classes, of which SimCLR collapses and a network recognises one only."""
    results = fabricate(tmp_path_factory.mktemp("own"), published_data=False)
    for figure in flat(_figures(results)):
        figure.parent.mkdir(parents=True, exist_ok=True)
        figure.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>')
    change(results / "data/shapes/dataset.json", **DATASET)
    for path in grid_files(results)["metrics"]:
        change(path, **answers(95.0, 60.0, 0.0, None, balanced=51.67))
    change(results / "grid/vit-mixup/seed1/metrics.json", **answers(100.0, 0.0, 0.0, 0.0))
    for folder in ("probe/simclr", "probe/random", "supervised"):
        for path in _seeds(results, folder):
            change(path, **answers(95.0, 60.0, 0.0, None, balanced=51.67))
    notes = {"self_supervision": ["knn.k is auto: 21"], "grid": ["batch_size is lowered to 57", "other"]}
    checked = {"notes": notes, "provenance": {"recipe": {}}}
    (results / "data/shapes/checked.json").write_text(json.dumps(checked))
    change(results / "simclr/seed2/metrics.json", warnings=["the features have collapsed (spread 0.003)"])
    return results


@pytest.fixture(scope="module")
def page(own_results: Path) -> Page:
    return Page(make_page(own_results, parts=("self_supervision", "grid"), own=True))


def plain(page: Page) -> str:
    """The text before the provenance, without the figures."""
    text = page.source.split("<main")[1].split("Where every number comes from")[0]
    text = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_nothing_of_the_published_report_is_shown(page: Page) -> None:
    shown = plain(page)
    for word in ("ublished", "CIFAR", "ot comparable", "not run", "Parameters by part", "econstruction"):
        assert word not in shown, word
    assert not {"parameters", "published", "reconstruction"} & set(page.values("id"))
    assert "Self-supervision and architecture × augmentation: results." in page.text


def test_what_was_found_when_packing_is_on_the_page(page: Page) -> None:
    assert plain(page).count(f"“tissue”: {SUMMARY}") == 2  # once a part


def test_every_table_of_accuracies_has_the_level_of_chance(page: Page) -> None:
    shown = plain(page)
    assert "Top-1 accuracy 79.10 ± 0.36 ⚠ 93.00 ± 0.36 41.50 ± 0.36 86.96" in shown
    assert "Balanced accuracy 51.67 ± 0.00 ⚠ 51.67 ± 0.00 51.67 ± 0.00 25.00" in shown
    assert "Linear probe 79.10 ± 0.36 ⚠ 41.50 ± 0.36 86.96" in shown  # other evaluations
    assert shown.count("Chance level 13.04 13.04 13.04 13.04") == 1  # top-1 error
    assert shown.count("Chance level 25.00 25.00 25.00 25.00") == 1  # balanced accuracy
    assert "Chance level 13.04 – – – – –" in shown  # costs
    assert (
        "Chance level: the most frequent class of the training images, normal, is always the answer" in shown
    )


def test_how_coarse_few_test_images_are_stands_beside_the_numbers(page: Page) -> None:
    shown = plain(page)
    assert shown.count("Top-1: one of 115 test images is 0.9 percentage points.") == 2
    few = "Balanced accuracy: one of 2 test images of “rare &lt;1&gt;” is 12.5 percentage points."
    assert shown.count(few) == 4  # in each part, and by class
    assert page.text.count("chance level 25.0 %; one test image is up to 12.5 points") == 2  # headlines


def test_a_large_test_set_is_not_called_coarse() -> None:
    many = {"classes": ["a", "b"], "class_counts": {"train": [9, 9], "test": [1000, 900]}}
    one = {"classes": ["a", "b"], "class_counts": {"train": [9, 9], "test": [1, 0]}}
    for metric in ("test_top1_accuracy", "test_balanced_accuracy"):
        assert resolution_note(many, metric) == "" == resolution_note({"classes": []}, metric)
    assert resolution_note(one, "test_balanced_accuracy") == (
        "Balanced accuracy: the only test image of “a” is 100.0 percentage points."
    )


def test_settings_that_follow_from_the_images_are_on_the_page(page: Page) -> None:
    shown = plain(page)
    assert "1 setting follows from the images. more knn.k is auto: 21." in shown
    assert "2 settings follow from the images. more batch_size is lowered to 57; other." in shown


def test_validation_images_of_the_source_are_no_training_images() -> None:
    dataset = {"counts": {"train": 50, "test": 10}, "validation": 8}
    assert images_of(dataset) == "42 training, 8 validation and 10 test images"
    assert images_of({"counts": {"train": 5, "test": 0}}) == "5 training images"


def test_top5_is_shown_only_with_more_than_five_classes(page: Page) -> None:
    assert "op-5" not in plain(page)
    assert not has_top5({"classes": ["a"] * 5}) and has_top5({"classes": ["a"] * 6})


def test_each_class_has_its_accuracy(page: Page) -> None:
    shown = plain(page)
    assert shown.count("Accuracy by class (%), test images") == 2
    assert "benign 40 10 60.00 ± 0.00" in shown and "rare &lt;1&gt; 6 2 – – –" in shown


def test_a_collapse_that_the_log_warned_of_is_on_the_page(page: Page) -> None:
    shown, head = plain(page), page.source.split("<main")[0]
    for line in (
        "simclr, seed 2: the features have collapsed (spread 0.003).",
        "Of 4 classes, only “normal” is ever recognised by: ViT, Mixup, seed 1.",
    ):
        assert f"⚠ {line}" in shown and f"<strong>Warning.</strong> {line}" in head
    assert "Top-1 accuracy 79.10 ± 0.36 ⚠ 93.00 ± 0.36 41.50" in shown  # beside what it concerns


def test_the_tables_have_every_class_and_no_published_column(own_results: Path) -> None:
    inputs = type("Inputs", (), grid_files(own_results))
    params = type("Params", (), {"titles": TITLES})
    targets = {name: [str(own_results / f"own_{name}.csv")] for name in ("top1", "balanced", "classes")}
    main_of("tabulate_part2.py")(inputs, params, targets)
    rows = {
        name: list(csv.DictReader(Path(path[0]).read_text().splitlines())) for name, path in targets.items()
    }
    assert {row["published"] for row in [*rows["top1"], *rows["balanced"]]} == {""}
    assert {row["class"] for row in rows["classes"]} == set(CLASSES)
    rare = next(row for row in rows["classes"] if row["class"] == "rare <1>" and row["run"] == "vit-cutmix")
    assert (rare["train_images"], rare["test_images"], rare["mean"]) == ("6", "2", "")


def test_the_table_of_part_1_has_every_class(own_results: Path) -> None:
    target = own_results / "own_part1.md"
    main_of("tabulate_part1.py")(_self_supervision(own_results), [str(target)])
    assert "| benign | 40 | 10 | 60.00 ± 0.00 | 60.00 ± 0.00 | 60.00 ± 0.00 |" in target.read_text()


@pytest.mark.parametrize(
    ("metric", "level"),
    [
        ("test_top1_accuracy", 100 * 100 / 115),
        ("test_top1_error", 100 * 15 / 115),
        ("test_balanced_accuracy", 25.0),
        ("test_top5_accuracy", 100.0),
    ],
)
def test_chance_is_the_most_frequent_class_of_the_training_images(metric: str, level: float) -> None:
    assert chance_level(DATASET, metric) == pytest.approx(level)


def test_chance_is_not_made_up_where_images_were_not_counted() -> None:
    assert chance_level({"classes": CLASSES}, "test_top1_error") is None


@pytest.mark.parametrize(
    ("shares", "lines"),
    [
        ((100, 0, 0, 0), ["Of 4 classes, only “normal” is ever recognised by: ViT, seed 3."]),
        ((0, 0, None, 9), ["Of 3 classes, only “rare <1>” is ever recognised by: ViT, seed 3."]),
        ((90, 5, 0, 0), []),
        ((100, None, None, None), []),
    ],
)
def test_a_classifier_that_recognises_one_class_only_is_warned_of(shares: Any, lines: list[str]) -> None:
    assert one_class_warnings({"ViT": [result(seed=3, **answers(*shares))]}, DATASET) == lines


def test_of_many_classes_the_page_shows_those_recognised_worst_and_says_so() -> None:
    names = [f"c{index}" for index in range(40)]
    dataset = {"classes": names, "class_counts": {"train": [5] * 40, "test": [2] * 40}}
    runs = {"ViT": [result(**answers(*range(40)))]}
    short, full = (class_table(runs, dataset, all_classes=everything) for everything in (False, True))
    assert [row[0] for row in short.rows[1:-1]] == names[:30]
    assert any("30 of 40 classes are shown" in note for note in short.notes)
    assert len(full.rows) == 42 and not any("are shown" in note for note in full.notes)
    assert len(class_rows(runs, dataset)) == 40


def test_a_map_with_some_classes_only_says_so() -> None:
    import pandas as pd

    points = pd.DataFrame({"class": [f"c{index:02}" for index in range(12)], "x": 0.0, "y": 0.0})
    few, all_of_them = (feature_map_figure({"a": points.head(n)}, count=n) for n in (12, 5))
    missing = feature_map_figure({"a": points.head(5)}, count=6)
    assert missing.legends[0].get_title().get_text() == "5 of 6 classes are shown"
    assert few.legends[0].get_title().get_text() == "10 of 12 classes are shown"
    assert all_of_them.legends[0].get_title().get_text() in ("", "None")


def test_own_images_are_folders_that_are_not_named_as_a_published_data_set() -> None:
    assert is_own(DATASET)
    assert not is_own({**DATASET, "name": "cifar10"})
    assert not is_own({**DATASET, "source": {"kind": "shapes"}})


def test_a_warning_of_many_runs_is_one_line() -> None:
    found = [
        Result(
            Path("results/simclr/seed0/metrics.json"), {"warnings": ["a."]}, {"seed": 0, "warnings": ["b"]}
        ),
        Result(Path("results/simclr/seed1/metrics.json"), {}, {"seed": 1, "warnings": ["simclr/seed1: b"]}),
    ]
    assert warnings_of(found) == ["simclr, seed 0: a.", "simclr, seed 0; simclr, seed 1: b."]
