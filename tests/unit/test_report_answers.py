"""Sentences about results: answers with their intervals, and verdicts on the report's conclusions."""

import math
from pathlib import Path

import pytest
from report_results import CIFAR100, grid_of

from triptych.report.answers import (
    grid_answer,
    mean_text,
    published_sentences,
    reconstruction_answer,
    self_supervision_answer,
)
from triptych.report.conclusions import conclusions
from triptych.report.part2_grid import Grid
from triptych.report.results import Result

ROWS, COLUMNS = ("resnet18", "vit"), ("baseline", "mixup", "cutout", "cutmix")
NOISE = (0.0, 0.1, -0.1)


def grid(errors: dict[str, float], seeds: int = 3) -> Grid:
    """Cells with these mean errors: each seed shifts all cells alike, and each cell varies a little."""
    cells = {}
    for number, (cell, error) in enumerate(errors.items()):
        own = (0.05, -0.05, 0.0)[number % 3 :] + (0.05, -0.05, 0.0)[: number % 3]
        cells[cell] = [error + NOISE[seed] + own[seed] for seed in range(seeds)]
    return grid_of(cells)


def every_cell(cutmix: float, cutout: float, gap: float) -> dict[str, float]:
    """Errors of all cells, by what CutMix and Cutout add to the baseline, and the ViT to ResNet18."""
    added = {"baseline": 0.0, "mixup": 0.2, "cutout": cutout, "cutmix": cutmix}
    return {
        f"{row}-{column}": 25 + added[column] + (gap if row == "vit" else 0)
        for row in ROWS
        for column in COLUMNS
    }


def verdicts(*arguments: object, **keywords: object) -> list[str]:
    return [answer.verdict for answer in conclusions(grid(*arguments, **keywords))]


def test_what_the_report_says_is_confirmed_by_significant_differences_alone() -> None:
    assert verdicts(every_cell(cutmix=-2, cutout=1, gap=19)) == ["confirmed"] * 3


def test_a_significant_difference_the_other_way_refutes() -> None:
    assert verdicts(every_cell(cutmix=2, cutout=-1, gap=5)) == ["refuted"] * 3


def test_differences_within_the_noise_are_undecided() -> None:
    undecided = "undecided at this number of seeds (3)"
    assert verdicts(every_cell(cutmix=0, cutout=0.01, gap=10)) == [undecided] * 3


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_decide_nothing_however_large_the_difference(seeds: int) -> None:
    found = conclusions(grid(every_cell(cutmix=-9, cutout=9, gap=40), seeds))
    assert [answer.verdict for answer in found] == [f"undecided at this number of seeds ({seeds})"] * 3
    assert all("[" not in answer.text for answer in found)


def test_a_conclusion_about_all_cells_is_not_confirmed_by_some() -> None:
    cells = every_cell(cutmix=-2, cutout=1, gap=19)
    some = {cell: error for cell, error in cells.items() if cell.startswith("resnet18")}
    best, cutout, far = conclusions(grid(some))
    assert best.verdict == cutout.verdict == "undecided at this number of seeds (3)"
    assert "3 of 6 comparisons: not run." in best.text and "1 of 2 comparisons: not run." in cutout.text
    assert far.verdict == "not run"


def test_without_results_everything_is_not_run() -> None:
    assert [answer.verdict for answer in conclusions(None)] == ["not run"] * 3
    assert "ResNet18: not run. ViT: not run." in grid_answer(None).text
    assert self_supervision_answer({}).text.count("not run") == 2
    assert reconstruction_answer({}).text == "Not run."


def test_an_interval_needs_three_seeds() -> None:
    assert mean_text([25.0]) == "25.00 % (1 seed, no interval)"
    assert mean_text([25.0, 26.0]) == "25.50 % (2 seeds, no interval)"
    assert mean_text([25.0, 26.0, 27.0]) == "26.00 % [23.52, 28.48] (3 seeds)"  # 2 ± 4.303 / sqrt(3)
    assert mean_text([25.0, math.nan, 27.0]) == "nan % (3 seeds, no interval)"
    assert mean_text([96.0, 98.0, 100.0]) == "98.00 % [93.03, 100.00] (3 seeds)"
    assert mean_text([-1.0, 0.0, 1.0], "") == "0.00 [−2.48, 2.48] (3 seeds)"


def test_published_errors_that_ours_are_not_below_are_named() -> None:
    found = published_sentences(grid_of({"resnet18-cutmix": [24.0], "vit-baseline": [24.63]}))
    assert found == [  # the made-up top-5 errors equal the top-1 errors
        "Of the 16 published errors, ours is lower in 2, not lower in 2; 12 belong to cells that were not "
        "run.",
        "Not lower than published: ResNet18 with CutMix, top-5 error; ViT with baseline, top-5 error.",
    ]


def test_a_run_that_diverged_is_not_lower_than_published_and_was_run_all_the_same() -> None:
    count, names = published_sentences(grid_of({"vit-mixup": [math.nan]}))
    assert "ours is lower in 0, not lower in 2; 14 belong to cells" in count
    assert "ViT with mixup, top-1 error" in names


def test_the_best_augmentation_is_the_one_that_validation_chose() -> None:
    text = grid_answer(grid(every_cell(cutmix=-2, cutout=1, gap=19))).text
    assert (
        "ResNet18: of the 4 augmentations run, CutMix is the best on validation images; on test images"
        in text
    )
    assert "published 24.57 %, −2.00 [" in text and "] points against baseline (significant)." in text
    assert "Chance level: 99.00 %." in text
    one = grid_answer(grid_of({"vit-mixup": [48.0]})).text
    value = "a top-1 error of 48.00 % (1 seed, no interval)"
    assert f"ViT: only mixup was run, with {value}, published 48.70 %." in one


def test_other_data_than_published_has_answers_too_and_says_that_they_are_not_comparable() -> None:
    shapes = {**CIFAR100, "name": "shapes"}
    text = grid_answer(grid_of({"resnet18-mixup": [4.0], "mine-mixup": [5.0]}, dataset=shapes))
    assert (
        text.question.endswith("on “shapes”?")
        and "mine: only mixup was run, with a top-1 error of 5.00 %" in text.text
    )
    assert text.text.endswith("The published errors are of CIFAR-100 and not comparable.")
    assert "published 25.73 %" not in text.text and "not run" not in text.text
    found = self_supervision_answer({"simclr_linear_probe": [result(test_top1_accuracy=83.1)]}, shapes)
    assert "reaches a top-1 accuracy of 83.10 % (1 seed, no interval)." in found.text
    assert found.text.endswith("The published 81.05 % and 93.68 % are of CIFAR-10 and not comparable.")


def test_networks_that_the_report_lacks_have_nothing_published_beside_them() -> None:
    found = grid_answer(grid_of({"mine-mixup": [5.0]}))
    assert found.question == "Which augmentation and which architecture have the lowest error on CIFAR-100?"
    expected = (
        "mine: only mixup was run, with a top-1 error of 5.00 % (1 seed, no interval). Chance level: 99.00 %."
    )
    assert found.text == expected and not found.caveats


def result(**values: object) -> Result:
    return Result(Path("results/x/seed0/metrics.json"), values, {"seed": 0})


def test_parts_one_and_three_say_whether_they_are_higher() -> None:
    found = self_supervision_answer(
        {
            "simclr_linear_probe": [result(test_top1_accuracy=83.1)],
            "supervised_resnet18": [result(test_top1_accuracy=93.6)],
        }
    ).text
    assert "top-1 accuracy of 83.10 % (1 seed, no interval), higher than the published 81.05 %." in found
    assert (
        "a top-1 accuracy of 93.60 % (1 seed, no interval), not higher than the published 93.68 %." in found
    )
    views = result(views=[{"psnr": 30.0}, {"psnr": 31.0}, {"psnr": 32.0}], ssim=0.9)
    scene = reconstruction_answer({"orbit": views}, {"orbit": result(registered=38, images=40)})
    assert scene.text == (
        "“orbit”: a mean PSNR (↑) of 31.00 dB [28.52, 33.48] (3 views), a mean SSIM (↑) of 0.900. "
        "38 of 40 images have a pose."
    )
