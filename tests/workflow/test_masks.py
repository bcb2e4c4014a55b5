"""A turntable before a still wall: with masks of what turns, its photographs become a scene."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Study, copy_project
from PIL import Image
from turntable import photograph_turntable

pytestmark = pytest.mark.slow

SCENE = "results/scenes/turntable"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's files: photographs, and masks in a folder inside."""
    folder = tmp_path_factory.mktemp("mine")
    photograph_turntable(folder)
    (folder / "masks").rename(folder / "images/masks")
    shutil.copy(folder / "images/masks/003.png", folder / "images/masks/of_no_photograph.png")
    return folder


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Study:
    """A checkout in which the scene is trained."""
    folder = tmp_path_factory.mktemp("masked")
    copy_project(folder)
    study = Study(folder)
    study.configure(
        parts=["reconstruction"],
        reconstruction={"scenes": ["turntable"], "radiance": {"downscale": 2}},
        scenes={
            "turntable": {
                "source": "folder",
                "path": str(photographs / "images"),
                "masks": str(photographs / "images/masks"),
                "reference": str(photographs / "truth.json"),
            }
        },
    )
    study.run(f"{SCENE}/pose_error.json", f"{SCENE}/views.json")
    return study


def test_all_photographs_get_their_true_poses(mapped: Study) -> None:
    error = json.loads((mapped.folder / SCENE / "pose_error.json").read_text())
    assert error["images"] == 28
    assert error["median_rotation_degrees"] < 0.4 and error["max_rotation_degrees"] < 2
    assert error["median_position_percent"] < 0.4


def test_the_training_and_the_held_out_views_are_masked(mapped: Study) -> None:
    frames = json.loads((mapped.folder / SCENE / "transforms.json").read_text())["frames"]
    assert all((mapped.folder / SCENE / frame["mask_path"]).exists() for frame in frames)
    views = json.loads((mapped.folder / SCENE / "views.json").read_text())["views"]
    error = Image.open(mapped.folder / SCENE / views[0]["error"])
    assert error.getpixel((2, 2)) == (128, 128, 128)  # not measured


def test_a_mask_that_fits_no_photograph_is_named_for_the_page(mapped: Study) -> None:
    (warning,) = json.loads((mapped.folder / SCENE / "masks.json").read_text())["provenance"]["warnings"]
    assert "1 masks fit no image that is used (of_no_photograph.png)" in warning


def test_an_edited_mask_is_used_again_without_new_frames(mapped: Study, photographs: Path) -> None:
    targets = (f"{SCENE}/pose_error.json", f"{SCENE}/views.json")
    assert mapped.plan(*targets) == set()
    path = photographs / "images/masks/003.png"
    kept = path.read_bytes()
    Image.new("L", Image.open(path).size, 255).save(path)
    plan = mapped.plan(*targets)
    path.write_bytes(kept)
    assert {"Masks of turntable", "Radiance field of turntable: training"} <= plan
    assert not any("frames" in job and "Choosing" in job for job in plan)
