"""Figures of parts 1 and 3, and how figures and pictures are embedded into the page."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_pages import make_figures

from triptych.report.charts import chart_of, chart_text
from triptych.report.figures import NARROW, WIDE, panel_grid, report_style, save_figure, save_svg
from triptych.report.part1_figures import accuracy_figure, feature_map_figure, loss_figure, neighbours_figure
from triptych.report.part3 import training_figure
from triptych.report.part3_frames import kept_frames, sharpness_figure
from triptych.report.sections import MAX_SIDE, embed_figure, embed_picture
from triptych.workflow.errors import TriptychError

pytestmark = pytest.mark.usefixtures("styled")


def history(last: int, offset: float = 0.0) -> pd.DataFrame:
    epochs = np.arange(1, last + 1)
    columns = ("train_loss", "validation_loss", "validation_top1_error", "validation_top5_error")
    return pd.DataFrame({"epoch": epochs, **dict.fromkeys(columns, 10.0 / epochs + offset)})


def test_figures_are_the_same_bytes_every_time(study_results: Path) -> None:
    files = sorted((study_results / "figures").rglob("*.svg"))
    assert len(files) == 19 + 13  # for the wide page, and for the narrow one
    before = [file.read_bytes() for file in files]
    make_figures(study_results, architectures=["vit"])
    assert [file.read_bytes() for file in files] == before
    for file in files:
        ElementTree.parse(file)


def test_the_thick_line_is_the_mean_over_the_epochs_that_all_seeds_have() -> None:
    figure = loss_figure([history(30), history(20, offset=2.0)], with_published=False)
    thin, other, mean = figure.axes[0].get_lines()
    assert thin.get_linewidth() < mean.get_linewidth()
    assert len(other.get_xdata()) == 20
    np.testing.assert_allclose(mean.get_ydata(), history(20, offset=1.0)["train_loss"])


def test_the_published_log_is_drawn_only_on_request() -> None:
    with_it = loss_figure([history(3)], with_published=True)
    without = loss_figure([history(3)], with_published=False)
    assert [line.get_label() for line in with_it.axes[0].get_lines()] == ["published", "this run"]
    assert [line.get_label() for line in without.axes[0].get_lines()] == ["this run"]
    assert len(with_it.axes[0].get_lines()[0].get_xdata()) == 100


def test_probes_without_epochs_are_levels() -> None:
    figure = accuracy_figure(
        {"supervised_resnet18": [history(8)]},
        levels={"simclr_linear_probe": 81.0, "random_linear_probe": 40.0},
        with_published=False,
    )
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert set(lines["SimCLR + linear probe"].get_ydata()) == {81.0}
    assert len(lines["Supervised"].get_xdata()) == 8


def test_nearest_neighbours_are_drawn_over_minutes_where_they_were_measured() -> None:
    watched = history(6).assign(knn_accuracy=[20.0, np.nan, 30.0, np.nan, np.nan, 40.0], seconds=120.0)
    (line,) = neighbours_figure([watched]).axes[0].get_lines()
    assert list(line.get_xdata()) == [2, 6, 12] and list(line.get_ydata()) == [20, 30, 40]


def test_maps_share_their_colours_and_show_ten_classes_at_most() -> None:
    names = [f"class {number:02d}" for number in range(12)] * 3
    points = pd.DataFrame({"class": names, "x": range(36), "y": range(36)})
    figure = feature_map_figure({"SimCLR": points, "Random encoder": points.iloc[::-1]})
    left, right = figure.axes
    assert len(left.collections) == len(right.collections) == 10
    for one, other in zip(left.collections, right.collections, strict=True):
        assert one.get_label() == other.get_label()
        np.testing.assert_array_equal(one.get_facecolor(), other.get_facecolor())
        assert len(one.get_offsets()) == 3


def test_frames_are_kept_however_the_manifest_spells_it() -> None:
    frames = pd.DataFrame({"kept": ["True", "false", "1", "0", "yes"]})
    assert kept_frames(frames).tolist() == [True, False, True, False, True]
    assert kept_frames(pd.DataFrame({"kept": [True, False]})).tolist() == [True, False]


@pytest.mark.parametrize(("times", "axis"), [([0.0, 0.5, 1.0], "seconds"), ([0.0, np.nan, np.nan], "frame")])
def test_pictures_without_times_are_numbered(tmp_path: Path, times: list[float], axis: str) -> None:
    for number in (0, 2):
        Image.new("RGB", (160, 90)).save(tmp_path / f"{number:06d}.jpg")
    frames = pd.DataFrame(
        {"frame": [0, 1, 2], "time": times, "sharpness": [3.0, 1.0, 2.0], "kept": [1, 0, 1]}
    )
    figure = sharpness_figure(frames, tmp_path)
    assert figure.axes[0].get_xlabel() == axis
    kept, left_out = figure.axes[0].collections
    assert (len(kept.get_offsets()), len(left_out.get_offsets())) == (2, 1)


def test_thumbnails_of_kept_frames_stand_above_their_sharpness(tmp_path: Path) -> None:
    for number in range(40):
        Image.new("RGB", (160, 90), "red").save(tmp_path / f"{number:06d}.jpg")
    columns = {"frame": range(40), "time": np.arange(40) / 2, "sharpness": 1.0, "kept": [0, 1] * 20}
    rows = pd.DataFrame(columns)
    figure = sharpness_figure(rows, tmp_path)
    curve, strip = figure.axes
    shown = [artist.xy[0] for artist in strip.artists]
    assert len(shown) == 6 and set(shown) <= set(rows["time"][rows["kept"] == 1])
    assert not curve.lines[0].get_rasterized()


def test_a_field_that_was_never_tested_in_between_still_has_a_curve() -> None:
    rows = pd.DataFrame({"step": [1, 2], "seconds": [1.0, 2.0], "train_psnr": [9.0, 12.0]})
    figure = training_figure(rows)
    assert [len(line.get_xdata()) for line in figure.axes[0].get_lines()] == [2, 0]


def test_a_large_picture_is_scaled_and_compressed_and_a_small_one_is_left_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 1600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    large = embed_picture(tmp_path / "large.png")
    assert large.uri.startswith("data:image/webp;base64,")
    assert (large.width, large.height) == (MAX_SIDE, MAX_SIDE * 9 // 16)
    Image.fromarray(noise[:20, :30]).save(tmp_path / "small.png")
    small = embed_picture(tmp_path / "small.png")
    assert small.uri.startswith("data:image/png;base64,")
    assert (small.width, small.height) == (30, 20)


def test_sixteen_bit_depth_can_be_shown(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).integers(0, 65535, (400, 400), dtype=np.uint16)
    Image.fromarray(depth).save(tmp_path / "depth.png")
    assert embed_picture(tmp_path / "depth.png").uri.startswith("data:image/webp")


def test_a_broken_picture_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(TriptychError, match=r"broken\.png"):
        embed_picture(tmp_path / "broken.png")


def test_an_embedded_figure_follows_the_page_and_shares_no_id(tmp_path: Path) -> None:
    path = tmp_path / "loss.svg"
    save_svg(loss_figure([history(3)], with_published=True), path)
    one = embed_figure(path, prefix="one", description='say "loss" & more')
    two = embed_figure(path, prefix="two", description="loss")
    first, second = ElementTree.fromstring(one), ElementTree.fromstring(two)
    ids = [{node.get("id") for node in tree.iter()} - {None} for tree in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    assert first.get("aria-label") == 'say "loss" & more'
    assert "var(--ink)" in one and "#23272e" not in one
    assert first.get("width") is None


def test_a_figure_carries_the_numbers_of_its_curves(tmp_path: Path) -> None:
    path = tmp_path / "loss.svg"
    save_svg(loss_figure([history(3), history(4)], with_published=True), path)
    chart = json.loads(chart_of(path.read_text()) or "")
    (panel,) = chart["panels"]
    assert (panel["title"], panel["x"]["title"]) == ("SimCLR: contrastive loss (NT-Xent)", "epoch")
    names = ["published", "this run, 1 of 2", "this run, 2 of 2", "this run"]
    assert [line["name"] for line in panel["lines"]] == names
    assert panel["lines"][1]["x"] == [1, 2, 3] and panel["lines"][1]["y"] == [10, 5, 3.3333]
    assert [line["name"] for line in chart["legend"]] == ["published", "this run"]
    assert chart["legend"][0]["dash"] == "dash"


def test_a_level_is_a_line_from_side_to_side() -> None:
    figure = accuracy_figure(
        {"supervised_resnet18": [history(8)]}, levels={"simclr_linear_probe": 81.0}, with_published=False
    )
    panel = json.loads(chart_text(figure) or "")["panels"][0]
    assert panel["lines"][0]["x"] == panel["x"]["range"]


def test_pictures_have_no_curves(tmp_path: Path) -> None:
    points = pd.DataFrame({"class": ["a"] * 3, "x": range(3), "y": range(3)})
    assert chart_text(feature_map_figure({"SimCLR": points})) is None


def test_on_a_narrow_page_panels_stand_below_each_other(tmp_path: Path) -> None:
    places = []
    for width in (WIDE, NARROW):
        with report_style(width):
            figure, panels = panel_grid(2, 4, least=2.2, height=1.5)
        assert figure.get_size_inches()[0] == width and panels.shape == (2, 4)
        places.append(panels[0, 0].get_gridspec().get_geometry())
    assert places == [(2, 4), (4, 2)]
    save_figure(
        lambda: panel_grid(1, 3, least=2.2, height=1.5)[0], [str(tmp_path / "a.svg"), str(tmp_path / "b.svg")]
    )
    widths = [ElementTree.parse(tmp_path / name).getroot().get("width") for name in ("a.svg", "b.svg")]
    assert widths == ["720pt", "331.2pt"]
