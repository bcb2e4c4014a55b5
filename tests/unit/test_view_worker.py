"""The latest wish wins, rest brings sharpness, and nothing that goes wrong is the end."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from ball_field import ball_field

from triptych.radiance.render import RadianceField, render_rays
from triptych.view.picture import as_picture
from triptych.view.resolution import Pace
from triptych.view.viewpoint import Viewpoint
from triptych.view.worker import Frame, Limits, Renderer, Wish, Worker

LOOKING_AT_IT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # from +x, z up
VIEW = Viewpoint(rotation=LOOKING_AT_IT, position=np.array([1.5, 0.5, 0.5]), fov=0.8, canvas=(144, 96))
WISH = Wish(viewpoint=VIEW, box=None, fps=10, mode="colour", depth=False)
HUGE = replace(WISH, viewpoint=replace(VIEW, canvas=(4096, 4096)))  # takes much longer than a test
PATIENCE = 60.0


@pytest.fixture(scope="module")
def field() -> RadianceField:
    return ball_field()


class Desk:
    """A running worker, and what it has made so far."""

    def __init__(self, field: RadianceField, show: Callable[[Frame], None] | None = None) -> None:
        self.frames: queue.Queue[Frame] = queue.Queue()
        self.failures: queue.Queue[str] = queue.Queue()
        self.worker = Worker(
            field,
            Renderer(),
            limits=Limits(shortest=16, max_width=4096),
            pace=Pace(1e-4),
            show=show or self.frames.put,
            fail=self.failures.put,
        )
        self.worker.start()

    def until_sharp(self) -> list[Frame]:
        frames = [self.frames.get(timeout=PATIENCE)]
        while not frames[-1].final:
            frames.append(self.frames.get(timeout=PATIENCE))
        return frames


@pytest.fixture
def desk(field: RadianceField) -> Iterator[Desk]:
    desk = Desk(field)
    yield desk
    desk.worker.stop()
    desk.worker.join(PATIENCE)
    assert not desk.worker.is_alive()


def sizes(frames: list[Frame]) -> list[tuple[int, ...]]:
    return [tuple(frame.picture.opacity.shape) for frame in frames]


def test_at_rest_the_picture_sharpens_to_the_full_one(desk: Desk, field: RadianceField) -> None:
    desk.worker.wish(WISH)
    frames = desk.until_sharp()
    assert sizes(frames) == [(24, 36), (48, 72), (96, 144)]
    assert [frame.first for frame in frames] == [True, False, False]
    seen = render_rays(field, *VIEW.rays((144, 96), (0, 96), torch.device("cpu")))
    expected = as_picture([seen], (144, 96), field.background)
    assert torch.allclose(frames[-1].picture.colour, expected.colour, atol=0.01)
    assert 0.2 < float(expected.opacity.mean()) < 0.8  # it is not a picture of nothing


def test_a_new_wish_ends_the_sharpening_of_the_old_one_at_once(desk: Desk) -> None:
    desk.worker.wish(HUGE)
    desk.frames.get(timeout=PATIENCE)
    time.sleep(0.5)  # it is busy sharpening now
    began = time.monotonic()
    desk.worker.wish(WISH)
    while (frame := desk.frames.get(timeout=PATIENCE)).wish is not WISH:
        assert not frame.final
    assert frame.first
    assert time.monotonic() - began < 5  # the full picture of 16 million pixels takes minutes


def test_wishes_that_are_overtaken_are_forgotten(field: RadianceField) -> None:
    shown: queue.Queue[Frame] = queue.Queue()
    gate: queue.Queue[None] = queue.Queue()

    def slow(frame: Frame) -> None:
        shown.put(frame)
        gate.get(timeout=PATIENCE)

    desk = Desk(field, slow)
    desk.worker.wish(WISH)
    shown.get(timeout=PATIENCE)
    wishes = [replace(WISH, viewpoint=replace(VIEW, fov=0.4 + 0.01 * number)) for number in range(30)]
    for wish in wishes:  # while the first picture is still on its way
        desk.worker.wish(wish)
    gate.put(None)
    assert shown.get(timeout=PATIENCE).wish is wishes[-1]
    desk.worker.stop()
    gate.put(None)
    desk.worker.join(PATIENCE)
    assert not desk.worker.is_alive()


def test_moving_steadily_still_shows_pictures(desk: Desk) -> None:
    for number in range(40):
        desk.worker.wish(replace(HUGE, viewpoint=replace(HUGE.viewpoint, fov=0.4 + 0.01 * number)))
        time.sleep(0.05)
    first = [desk.frames.get_nowait().first for _ in range(desk.frames.qsize())]
    assert len(first) >= 2 and all(first)


def test_a_failure_is_reported_and_the_next_wish_served(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.worker.wish(replace(WISH, viewpoint=replace(VIEW, rotation=np.zeros((2, 2)))))
    assert "Error" in desk.failures.get(timeout=PATIENCE)
    assert "could not be rendered" in caplog.text
    desk.worker.wish(WISH)
    assert desk.until_sharp()


def test_a_box_cuts_the_picture(desk: Desk) -> None:
    infinity = float("inf")
    upper = ((-infinity, -infinity, 0.5), (infinity, infinity, infinity))
    desk.worker.wish(replace(WISH, box=upper))
    opacity = desk.until_sharp()[-1].picture.opacity
    assert opacity[:44].mean() > 0.2
    assert opacity[52:].max() == 0
    desk.worker.wish(WISH)
    assert desk.until_sharp()[-1].picture.opacity[52:].mean() > 0.1
