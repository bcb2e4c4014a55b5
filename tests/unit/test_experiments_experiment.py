"""What a run writes beside its weights: its metrics, and how often the test images were evaluated."""

from pathlib import Path

import pytest
from colour_experiments import experiment, metrics, save_colours

from triptych.experiments.experiment import Experiment

RECIPE = {"device": "cpu", "precision": "float32"}


@pytest.fixture
def run(tmp_path: Path) -> Experiment:
    return experiment(tmp_path / "run", save_colours(tmp_path / "data"), RECIPE)


def looks(run: Experiment, accuracy: float) -> int:
    run.folder.mkdir(exist_ok=True)
    run.write_metrics({"test_top1_accuracy": accuracy, "minutes": 3}, run.dataset(), 1.0)
    return int(metrics(run.folder)["test_looks"])


def test_every_other_result_on_the_test_images_is_one_look_more(run: Experiment) -> None:
    assert [looks(run, accuracy) for accuracy in (50.0, 50.0, 60.0, 50.0, 70.0)] == [1, 1, 2, 2, 3]


def test_a_run_that_does_not_read_test_images_has_no_looks(run: Experiment) -> None:
    run.folder.mkdir()
    run.write_metrics({"final_train_loss": 1.0}, run.dataset(), 1.0)
    assert "test_looks" not in metrics(run.folder)
