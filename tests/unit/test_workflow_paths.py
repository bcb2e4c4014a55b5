"""With --directory, messages name files absolutely, and a scene's camera paths stay in its study."""

from pathlib import Path

import pytest

from triptych.view.scene import study_of
from triptych.workflow.errors import CALLER, with_absolute_paths

MESSAGE = "results/data/x.npy: damaged; delete results/data and run again (see /old/results/x, my-results/y)"


def test_paths_are_absolute_for_a_reader_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CALLER, "/somewhere/else")
    assert with_absolute_paths(MESSAGE) == (
        f"{tmp_path}/results/data/x.npy: damaged; delete {tmp_path}/results/data and run again "
        "(see /old/results/x, my-results/y)"
    )


def test_paths_stay_as_they_are_for_a_reader_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CALLER, str(tmp_path))
    assert with_absolute_paths(MESSAGE) == MESSAGE


@pytest.mark.parametrize(
    ("scene", "study"),
    [("results/scenes/desk", "."), ("studies/a/results/scenes/desk", "studies/a"), ("/data/desk", ".")],
)
def test_a_scene_belongs_to_the_study_whose_results_it_is_in(scene: str, study: str) -> None:
    assert study_of(Path(scene)) == Path(study)
