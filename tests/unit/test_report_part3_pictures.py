"""Pictures of a scene: held-out views, cameras with points, matches, the contact sheet of its frames."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pycolmap
import pytest
from matplotlib.figure import Figure
from PIL import Image
from report_pages import make_page
from report_scene import write_matches

from triptych.radiance.evaluate import error_colours
from triptych.report.part3 import chosen_attempt, shown_views
from triptych.report.part3_frames import MOST, contact_sheet_figure, left_out_frames
from triptych.report.part3_pictures import (
    cameras_figure,
    cameras_text,
    matches_figure,
    read_matches,
    strips_figure,
    typical_views,
)
from triptych.workflow.files import read_json, write_json

pytestmark = pytest.mark.usefixtures("styled")


def test_the_strips_are_of_the_worst_the_median_and_the_best_view() -> None:
    views = [
        {"name": name, "psnr": psnr}
        for name, psnr in zip("abcde", (21.0, 30.0, 25.0, 19.0, 27.0), strict=True)
    ]
    named = {word: view["name"] for word, view in typical_views(views).items()}
    assert named == {"worst": "d", "median": "c", "best": "b"}
    assert list(typical_views(views[:2])) == ["worst", "best"]
    assert list(typical_views(views[:1])) == ["median"]


def test_an_attempt_that_was_skipped_does_not_count_as_one_that_was_made() -> None:
    made = [{"attempt": "as configured", "chosen": False}, {"attempt": "global mapper", "chosen": True}]
    assert chosen_attempt(made) == "global mapper, of 2"
    assert chosen_attempt([*made, {"attempt": "more features", "skipped": "two hours"}]) == (
        "global mapper, of 2; 1 skipped"
    )


def test_the_slider_opens_on_the_median_view() -> None:
    psnrs = [20.0 + (7 * number) % 50 for number in range(50)]
    shown, median = shown_views(psnrs)
    assert len(shown) == len(set(shown)) == 6 and shown == sorted(shown)
    assert psnrs[shown[median]] == sorted(psnrs)[24]
    assert shown_views([3.0, 1.0, 2.0]) == ([0, 1, 2], 2)


def test_the_page_shows_the_median_view_first(study_results: Path) -> None:
    page = make_page(study_results).read_text()
    assert "checked>frame 0016" in page and page.count(" checked>") == 1


def test_views_without_depth_are_shown_without_it(study_results: Path, tmp_path: Path) -> None:
    results = shutil.copytree(study_results, tmp_path / "results")
    content = read_json(results / "scenes/orbit/views.json")
    for view in content["views"]:
        del view["depth"], view["normal"]
    write_json(results / "scenes/orbit/views.json", content)
    page = make_page(results, parts=("reconstruction",)).read_text()
    assert "Rendered: frame 0016" in page and "Depth of" not in page


def test_a_strip_has_a_picture_for_everything_that_was_rendered(study_results: Path) -> None:
    scene = study_results / "scenes/orbit"
    views = read_json(scene / "views.json")["views"]
    everything = strips_figure(views, scene)
    without = [{key: view[key] for key in ("name", "psnr", "truth", "render", "error")} for view in views]
    fewer = strips_figure(without, scene)
    assert len(everything.axes[0].images) == 15 and len(fewer.axes[0].images) == 9
    words = [text.get_text() for text in everything.axes[0].texts]
    assert words[:5] == ["photograph", "rendered", "error", "depth", "normals"]
    assert words[5:7] == ["worst", "27.00 dB"]


def test_an_error_map_is_black_where_nothing_differs_and_grey_behind_a_mask() -> None:
    truth = np.zeros((2, 3, 3))
    image = truth.copy()
    image[0, 0], image[1, 1] = 1, 1
    unmasked = np.ones((2, 3), bool)
    unmasked[1, 1] = False
    colours = error_colours(image, truth, unmasked).astype(int)
    assert colours[0, 0].min() > 180 and colours[0, 1].max() < 5
    assert (colours[1, 1] == 128).all()


def test_cameras_are_drawn_in_natural_order_and_held_out_ones_apart(
    tmp_path: Path, study_results: Path
) -> None:
    frames = []
    for number in (10, 2, 1):
        pose = np.eye(4)
        pose[0, 3] = number
        frames.append({"file_path": f"frames/frame{number}.png", "transform_matrix": pose.tolist()})
    write_json(
        tmp_path / "transforms.json", {"aabb_scale": 4, "scale": 0.5, "offset": [0.5] * 3, "frames": frames}
    )
    cloud = study_results / "scenes/orbit/sparse.ply"
    figure = cameras_figure(tmp_path / "transforms.json", cloud=cloud, held_out=["frame2"])
    for axes in figure.axes:
        np.testing.assert_allclose(axes.lines[0].get_xdata(), [1, 2, 10])
        (box,) = axes.patches
        assert (box.get_x(), box.get_width()) == (-4, 8)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training (2)", "held out (1)"]


def test_cameras_and_points_are_whole_numbers_for_the_page(study_results: Path, tmp_path: Path) -> None:
    scene = study_results / "scenes/orbit"
    held_out = ["frame 0016"]
    numbers = json.loads(
        cameras_text(scene / "transforms.json", cloud=scene / "sparse.ply", held_out=held_out)
    )
    poses = [frame["transform_matrix"] for frame in read_json(scene / "transforms.json")["frames"]]
    assert len(numbers["eyes"]) == len(numbers["ends"]) == 3 * len(poses)
    assert numbers["held_out"].index(True) == 16 and numbers["held_out"].count(True) == 1
    assert len(numbers["colours"]) == 2 * len(numbers["points"]) and len(numbers["box"]) == 6
    assert max(map(abs, numbers["eyes"])) < 1000
    pycolmap.Reconstruction().export_PLY(tmp_path / "none.ply")
    none = cameras_text(scene / "transforms.json", cloud=tmp_path / "none.ply", held_out=[])
    assert json.loads(none)["points"] == []


def test_a_scene_without_points_is_drawn_all_the_same(tmp_path: Path, study_results: Path) -> None:
    pycolmap.Reconstruction().export_PLY(tmp_path / "none.ply")
    cameras_figure(study_results / "scenes/orbit/transforms.json", cloud=tmp_path / "none.ply", held_out=[])


def test_matches_are_symmetric_and_in_natural_order(tmp_path: Path) -> None:
    write_matches(tmp_path / "database.db", images=12, reach=3)
    before = (tmp_path / "database.db").read_bytes()
    matches = read_matches(tmp_path / "database.db")
    assert (tmp_path / "database.db").read_bytes() == before
    assert (matches == matches.T).all() and (np.diag(matches) == 0).all()
    assert matches[9, 10] == matches[1, 2] == 800 and matches[2, 5] == 266 and matches[1, 10] == 0


@pytest.mark.parametrize("reach", [0, 3])
def test_pairs_without_matches_stay_white(tmp_path: Path, reach: int) -> None:
    write_matches(tmp_path / "database.db", images=6, reach=reach)
    matches = read_matches(tmp_path / "database.db")
    figure = matches_figure(matches)
    shown = figure.axes[0].images[0].get_array()
    assert (np.ma.getmaskarray(shown) == (matches == 0)).all()


WHY = ["kept", "blurry: 3 is under 0.4 x 9", "over the budget of 500 frames", "excluded in the config"]


def frames(count: int, *, timed: bool) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "frame": range(count),
            "time": [15.5 * number if timed else float("nan") for number in range(count)],
            "kept": [WHY[number % 4] == "kept" for number in range(count)],
            "why": [WHY[number % 4] for number in range(count)],
        }
    )


def thumbnails(folder: Path, numbers: Iterable[int], size: tuple[int, int] = (160, 90)) -> None:
    for number in numbers:
        Image.new("RGB", size, (number % 256, 0, 0)).save(folder / f"{number:06d}.jpg")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_frame_that_is_not_used_is_counted_by_its_reason() -> None:
    why = ["kept", "not the sharpest of its window", "not the sharpest of its window", "blurry: 3 is under 9"]
    frames = pd.DataFrame({"kept": [True, False, False, False], "why": why})
    assert left_out_frames(frames) == "2 less sharp than a neighbour, 1 blurry"


def test_each_thumbnail_has_its_number_time_and_reason(tmp_path: Path) -> None:
    thumbnails(tmp_path, [0, 1, 2, 3, 8])
    figure = contact_sheet_figure(frames(10, timed=True), tmp_path)
    assert texts(figure) == [
        "0 at 0:00.0",
        *("1 at 0:15.5", "blurry"),
        *("2 at 0:31.0", "over the budget"),
        *("3 at 0:46.5", "excluded"),
        "8 at 2:04.0",
    ]
    assert len(figure.axes[0].images) == 5
    assert len(figure.axes[0].patches) == 2  # around those that were kept


@pytest.mark.parametrize("size", [(160, 90), (90, 160)])
def test_many_photographs_are_shown_in_part(tmp_path: Path, size: tuple[int, int]) -> None:
    thumbnails(tmp_path, range(3 * MOST), size)
    figure = contact_sheet_figure(frames(3 * MOST, timed=False), tmp_path)
    assert len(figure.axes[0].images) == MOST
    assert {"0", str(3 * MOST - 1)} <= set(texts(figure))
    width, height = figure.get_size_inches()
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.03)
