"""A scene whose poses are known, through the real DAG: from three files to the page."""

import json
import os
from pathlib import Path

import pytest
from conftest import Study, copy_project
from sphere_scene import write_blender_scene

pytestmark = pytest.mark.slow

IMPORT = "Importing balls with its poses"


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's files."""
    return write_blender_scene(tmp_path_factory.mktemp("mine") / "balls", train=8, test=2, side=24)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, balls: Path) -> Study:
    """A checkout in which a study of this scene alone has run."""
    folder = tmp_path_factory.mktemp("known")
    copy_project(folder)
    study = Study(folder)
    study.configure(
        parts=["reconstruction"],
        reconstruction={"scenes": ["balls"], "radiance": {"downscale": 1}},
        scenes={"balls": {"source": "transforms", "path": str(balls)}},
    )
    study.run()
    return study


def test_all_test_images_are_measured_over_white(imported: Study) -> None:
    views = json.loads((imported.folder / "results/scenes/balls/views.json").read_text())
    assert [view["name"] for view in views["views"]] == ["test_0000", "test_0001"]
    field = json.loads((imported.folder / "results/scenes/balls/radiance/field.json").read_text())
    assert field["background"] == [1, 1, 1] and field["shape"]["aabb_scale"] == 1


def test_results_hold_what_they_need_and_the_page_shows_them(imported: Study, balls: Path) -> None:
    scene = imported.folder / "results/scenes/balls"
    assert str(balls) not in "".join(
        frame["file_path"] for frame in json.loads((scene / "transforms.json").read_text())["frames"]
    )
    page = (imported.folder / "results/report/index.html").read_text()
    assert "given with the images" in page and "10 of 10" in page
    assert "Reprojection error" not in page and "Sharpness of" not in page
    assert not (scene / "sfm").exists() and imported.plan() == set()


def test_an_edited_image_is_imported_again_and_nothing_else_is(imported: Study, balls: Path) -> None:
    (balls / "notes.txt").write_text("about the scene")
    assert imported.plan() == set()
    image = balls / "train/r_1.png"
    kept = image.read_bytes()
    os.utime(image)
    assert imported.plan() == set()
    image.write_bytes(kept + b" ")
    plan = imported.plan()
    image.write_bytes(kept)
    assert {IMPORT, "Radiance field of balls: training", "Report: results/report/index.html"} <= plan
    assert not any("Finding the cameras" in job or "frames of" in job for job in plan)


def test_a_scene_file_that_is_cut_short_is_one_clear_line(imported: Study, balls: Path) -> None:
    file = balls / "transforms_test.json"
    kept = file.read_bytes()
    file.write_bytes(kept[:99])
    try:
        done = imported.snakemake("--dry-run")
    finally:
        file.write_bytes(kept)
    assert done.returncode != 0
    assert "config: scenes.balls: " in done.stderr and "not a valid transforms.json" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
