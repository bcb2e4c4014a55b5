"""The contact sheet shows each thumbnail with its number, its time, and why it was left out."""

import pandas as pd
import pytest
from PIL import Image

from triptych.report.part3_frames import MOST, contact_sheet_figure

WHY = ["kept", "blurry: 3 is under 0.4 x 9", "over the budget of 500 frames", "excluded in the config"]


def frames(count, *, timed):
    return pd.DataFrame(
        {
            "frame": range(count),
            "time": [15.5 * number if timed else float("nan") for number in range(count)],
            "kept": [WHY[number % 4] == "kept" for number in range(count)],
            "why": [WHY[number % 4] for number in range(count)],
        }
    )


def thumbnails(folder, numbers, size=(160, 90)):
    for number in numbers:
        Image.new("RGB", size, (number % 256, 0, 0)).save(folder / f"{number:06d}.jpg")


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_thumbnail_has_its_number_time_and_reason(tmp_path):
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
def test_many_photographs_are_shown_in_part(tmp_path, size):
    thumbnails(tmp_path, range(3 * MOST), size)
    figure = contact_sheet_figure(frames(3 * MOST, timed=False), tmp_path)
    assert len(figure.axes[0].images) == MOST
    assert {"0", str(3 * MOST - 1)} <= set(texts(figure))
    width, height = figure.get_size_inches()
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.03)
