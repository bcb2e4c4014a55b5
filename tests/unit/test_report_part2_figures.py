"""Figures of part 2: curves, confusion matrices, augmented images and attention."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_pages import grid_files
from report_results import grid_of
from report_scene import examples, rollouts

from triptych.report.figures import shorten
from triptych.report.part2_confusion import (
    confusable_groups,
    confusion,
    confusion_figure,
    draw_matrices,
    order_by_confusion,
)
from triptych.report.part2_curves import architecture_figure, overview_figure
from triptych.report.part2_grid import read_grid
from triptych.report.part2_pictures import attention_figure, augmentation_figure, describe_label, dim

pytestmark = pytest.mark.usefixtures("styled")
ROOT = Path(__file__).parents[2]
PETS = {
    "classes": ["cat", "dog", "oak"],
    "superclasses": ["animals", "trees"],
    "superclass_of_class": [0, 0, 1],
}
TITLES = {"baseline": "Baseline", "cutmix": "CutMix"}


def test_superclasses_are_confused_if_there_are_any_else_up_to_twenty_classes() -> None:
    groups = confusable_groups(PETS)
    assert groups is not None and (groups.kind, groups.names) == ("superclass", ("animals", "trees"))
    few = confusable_groups({"classes": ["a", "b"], "superclasses": None})
    assert few is not None and (few.kind, few.of_class) == ("class", (0, 1))
    assert confusable_groups({"classes": [str(number) for number in range(21)]}) is None


def test_confusion_counts_all_seeds_and_forgives_errors_within_a_group() -> None:
    groups = confusable_groups(PETS)
    assert groups is not None
    labels = np.array([0, 1, 2, 2])
    seeds = [np.array([1, 0, 2, 0]), np.array([2, 1, 2, 2])]  # cat <-> dog is no confusion of animals
    assert confusion(labels, seeds, groups).tolist() == [[0.75, 0.25], [0.25, 0.75]]


@given(st.integers(1, 9), st.integers(0, 1000))
def test_an_order_of_groups_has_each_of_them_once(count: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).random((count, count))
    assert sorted(order_by_confusion([matrix])) == list(range(count))


def test_confused_groups_are_neighbours() -> None:
    matrix = np.eye(6) * 0.6
    for a, b in ((0, 3), (1, 5), (2, 4)):
        matrix[a, b] = matrix[b, a] = 0.4
    order = order_by_confusion([matrix])
    places = {group: place for place, group in enumerate(order)}
    assert all(abs(places[a] - places[b]) == 1 for a, b in ((0, 3), (1, 5), (2, 4)))


def test_each_architecture_is_shown_with_its_best_augmentation(study_results: Path) -> None:
    files = grid_files(study_results, ["resnet18", "vit"], ["baseline", "cutmix"])
    labels = np.load(study_results / "data/cifar100/test_labels.npy")
    figure = confusion_figure(read_grid(**files), labels)
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0].startswith("ResNet18, CutMix: ") and titles[1].startswith("ViT, CutMix: ")
    assert len(figure.axes[0].get_xticklabels()) == 20


def test_with_three_architectures_every_column_names_what_is_predicted() -> None:
    figure = draw_matrices([(name, np.eye(2)) for name in "abc"], ["cat", "dog"])
    drawn = [axes for axes in figure.axes if axes.axison]
    labels = [axes.get_xlabel() for axes in drawn]
    shown = [axes.xaxis.get_tick_params()["labelbottom"] for axes in drawn]
    assert labels == ["", "predicted", "predicted"] and shown == [False, True, True]


def test_too_many_classes_give_a_sentence_instead_of_a_drawing() -> None:
    many = grid_of({"net-mixup": [20.0]}, dataset={"classes": [str(number) for number in range(50)]})
    figure = confusion_figure(many, np.zeros(0, int))
    assert "50 classes without superclasses" in figure.texts[0].get_text().replace("\n", " ")


def test_the_overview_draws_every_cell_over_the_others_with_its_test_error() -> None:
    epochs = np.arange(1, 31)
    cells = [(row, column) for row in ("net", "vit") for column in TITLES]
    histories = {
        cell: [pd.DataFrame({"epoch": epochs, "validation_top1_error": 90 / epochs + place + seed})] * 2
        for place, cell in enumerate(cells)
        for seed in (0,)
    }
    half = 0.5 / 2**0.5  # of two seeds
    errors = {"-".join(cell): [20 + place - half, 20 + place + half] for place, cell in enumerate(cells)}
    grid = grid_of(errors, architectures={"net": "Net", "vit": "ViT"}, augmentations=TITLES)
    figure = overview_figure(grid, histories)
    panels = figure.axes
    assert [panel.texts[0].get_text() for panel in panels] == [
        "20.00 ± 0.50 %",
        "21.00 ± 0.50 %",
        "22.00 ± 0.50 %",
        "23.00 ± 0.50 %",
    ]
    own = panels[0].get_lines()
    np.testing.assert_allclose(own[5].get_ydata(), 90 / epochs)  # three others, two seeds, their mean
    assert {panel.get_ylim() for panel in panels} == {panels[0].get_ylim()}


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([1.0, 0.0, 0.0], ""),
        ([0.996, 0.004, 0.0], ""),
        ([0.3, 0.0, 0.7], "70 % oak\n30 % cat"),
        ([0.5, 0.5, 0.0], "50 % cat\n50 % dog"),
    ],
)
def test_a_mixed_label_is_written_out(weights: list[float], text: str) -> None:
    assert describe_label(np.array(weights), ["cat", "dog", "oak"]) == text


def test_the_gallery_has_a_row_of_originals_and_one_of_each_augmentation() -> None:
    figure = augmentation_figure(examples(2, 10), titles=TITLES, classes=[f"class_{n}" for n in range(10)])
    axes = figure.axes[0]
    assert len(axes.get_images()) == 3 * 8
    texts = [text.get_text() for text in axes.texts]
    assert {"As it is", "Baseline", "CutMix", "class 7", "70 % class 0\n30 % class 1"} <= set(texts)


def test_wrong_predictions_are_marked_in_the_figure_of_attention() -> None:
    figure = attention_figure(rollouts(2, 10), titles=TITLES, classes=[f"class {n}" for n in range(10)])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("✗ class 3") == 2 and texts.count("✗ class 6") == 2
    assert sum(text.startswith("✗") for text in texts) == 4


def test_an_image_stays_bright_where_the_class_token_attends() -> None:
    image = np.full((32, 32, 3), 200, np.uint8)
    attention = np.zeros((8, 8))
    attention[2, 5] = 1.0
    shown = dim(image, attention)
    brightest = np.unravel_index(shown[..., 0].argmax(), (32, 32))
    assert abs(brightest[0] - 10) <= 2 and abs(brightest[1] - 22) <= 2
    assert 0 < shown.min() < 40
    assert (dim(image, np.ones((8, 8))) == image).all()


def test_long_names_are_cut() -> None:
    assert (shorten("aquarium fish", 13), shorten("aquarium fish", 9)) == ("aquarium fish", "aquarium…")


def test_the_overview_has_the_published_log_of_the_reports_cells() -> None:
    curve = pd.DataFrame({"epoch": [1, 2], "validation_top1_error": [90.0, 80.0]})
    grid = grid_of({"net-cutmix": [20.0], "vit-cutmix": [20.0]})
    figure = overview_figure(grid, {cell: [curve] for cell in grid.cells})
    own, reports = ([line.get_label() for line in panel.get_lines()] for panel in figure.axes)
    assert "published" not in own and reports.count("published") == 1
    (log,) = (line for line in figure.axes[1].get_lines() if line.get_label() == "published")
    assert len(log.get_xdata()) >= 50 and min(log.get_ydata()) == pytest.approx(46.16)


def test_a_cell_that_was_left_out_keeps_its_place_in_the_overview() -> None:
    curve = pd.DataFrame({"epoch": [1, 2], "validation_top1_error": [90.0, 80.0]})
    grid = grid_of({"net-mixup": [20.0], "vit-cutmix": [20.0]})
    figure = overview_figure(grid, {cell: [curve] for cell in grid.cells})
    assert [panel.texts[0].get_text() for panel in figure.axes] == [
        "20.00 %",
        "not run",
        "not run",
        "20.00 %",
    ]


def history(last: int) -> pd.DataFrame:
    epochs = np.arange(1, last + 1)
    columns = ("train_loss", "validation_loss", "validation_top1_error", "validation_top5_error")
    return pd.DataFrame({"epoch": epochs, **dict.fromkeys(columns, 10.0 / epochs)})


def test_curves_have_a_row_an_augmentation_and_no_log_for_an_added_architecture() -> None:
    figure = architecture_figure(
        {"baseline": [history(4)], "mine": [history(4)]},
        architecture="mixer",
        titles={"baseline": "Baseline", "mine": "Costs $5 and $6"},
        with_published=True,
    )
    figure.draw_without_rendering()
    assert len(figure.axes) == 8
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["Train loss", "Validation loss"]
    assert figure.axes[4].get_ylabel() == "Costs $5 and $6"
    assert not figure.legends


def test_the_published_log_of_a_cell_is_drawn_under_its_curves_if_there_is_one() -> None:
    log = pd.read_csv(ROOT / "src/triptych/report/published/published_curves.csv")
    figure = architecture_figure(
        {"cutmix": [history(4)]}, architecture="vit", titles={"cutmix": "C"}, with_published=True
    )
    metrics = ("train_loss", None, "valid_top1_error", "valid_top5_error")
    for axes, metric in zip(figure.axes, metrics, strict=True):
        dashed = [line for line in axes.get_lines() if line.get_label() == "published"]
        assert len(dashed) == (metric is not None)
        for line in dashed:
            theirs = log[(log["run"] == "vit-cutmix") & (log["metric"] == metric)]["value"]
            np.testing.assert_array_equal(line.get_ydata(), theirs)
            assert len(theirs) >= 50
    assert "published" in [text.get_text() for text in figure.legends[0].get_texts()]
