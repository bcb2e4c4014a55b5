"""The newest request is rendered, at rest it is sharpened, and a failure does not end the thread."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from ball_field import ball_field

from triptych.radiance.render import RadianceField, RenderedImage, render_rays
from triptych.view.camera import ViewCamera
from triptych.view.rendering import (
    Frame,
    PixelCost,
    RenderQueue,
    RenderRequest,
    RenderThread,
    quick_step_scale,
)

LOOKING_AT_IT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # from +x, z up
VIEW = ViewCamera(rotation=LOOKING_AT_IT, position=np.array([1.5, 0.5, 0.5]), fov=0.8, canvas=(144, 96))
REQUEST = RenderRequest(view=VIEW, box=None, fps=10, mode="colour", depth=False)
HUGE = replace(REQUEST, view=replace(VIEW, canvas=(4096, 4096)))  # takes much longer than a test
PATIENCE = 60.0


@pytest.fixture(scope="module")
def field() -> RadianceField:
    return ball_field()


class RunningThread:
    """A running render thread, and what it has rendered so far."""

    def __init__(self, field: RadianceField, show: Callable[[Frame], None] | None = None) -> None:
        self.frames: queue.Queue[Frame] = queue.Queue()
        self.failures: queue.Queue[str] = queue.Queue()
        self.thread = RenderThread(
            field,
            RenderQueue(),
            min_side=16,
            max_width=4096,
            cost=PixelCost(1e-4),
            show=show or self.frames.put,
            fail=self.failures.put,
        )
        self.thread.start()

    def until_sharp(self) -> list[Frame]:
        frames = [self.frames.get(timeout=PATIENCE)]
        while not frames[-1].final:
            frames.append(self.frames.get(timeout=PATIENCE))
        return frames


@pytest.fixture
def running(field: RadianceField) -> Iterator[RunningThread]:
    running = RunningThread(field)
    yield running
    running.thread.stop()
    running.thread.join(PATIENCE)
    assert not running.thread.is_alive()


def sizes(frames: list[Frame]) -> list[tuple[int, ...]]:
    return [tuple(frame.picture.opacity.shape) for frame in frames]


def test_at_rest_the_picture_is_sharpened_to_full_resolution(
    running: RunningThread, field: RadianceField
) -> None:
    running.thread.request(REQUEST)
    frames = running.until_sharp()
    assert sizes(frames) == [(24, 36), (48, 72), (96, 144)]
    assert [frame.first for frame in frames] == [True, False, False]
    seen = render_rays(field, *VIEW.rays((144, 96), (0, 96), torch.device("cpu")))
    expected = RenderedImage.from_rays(seen, (144, 96), field.background)
    assert torch.allclose(frames[-1].picture.colour, expected.colour, atol=0.01)
    assert 0.2 < float(expected.opacity.mean()) < 0.8  # it is not a picture of nothing


def test_a_picture_that_is_small_enough_to_be_shown_whole_at_once_is_rendered_again_at_rest(
    field: RadianceField,
) -> None:
    """The first one has long steps; the last one is exact."""
    running = RunningThread(replace(field, step_scale=1.0))
    small = replace(REQUEST, view=replace(VIEW, canvas=(24, 16)))
    running.thread.request(small)
    frames = running.until_sharp()
    running.thread.stop()
    assert sizes(frames) == [(16, 24), (16, 24)]
    seen = render_rays(
        replace(field, step_scale=1.0), *small.view.rays((24, 16), (0, 16), torch.device("cpu"))
    )
    exact = RenderedImage.from_rays(seen, (24, 16), field.background).colour
    first, last = ((frame.picture.colour - exact).abs().mean() for frame in frames)
    assert last < first / 10 and 1e-4 < first < 0.1


def test_moving_pictures_have_steps_as_long_as_their_pixels_allow_but_not_above_twice_the_field_s(
    field: RadianceField,
) -> None:
    photographs = replace(field, step_scale=2.0)  # of 500 pixels, say
    scales = [quick_step_scale(photographs, VIEW, (side * 3 // 2, side)) for side in (64, 400, 4000)]
    assert scales[0] == 4 and 2 < scales[1] < 4 and scales[2] == 2


def test_a_new_request_cancels_the_sharpening_of_the_old_one(running: RunningThread) -> None:
    running.thread.request(HUGE)
    running.frames.get(timeout=PATIENCE)
    time.sleep(0.5)  # it is busy sharpening now
    began = time.monotonic()
    running.thread.request(REQUEST)
    while (frame := running.frames.get(timeout=PATIENCE)).request is not REQUEST:
        assert not frame.final
    assert frame.first
    assert time.monotonic() - began < 5  # the full picture of 16 million pixels takes minutes


def test_superseded_requests_are_dropped(field: RadianceField) -> None:
    shown: queue.Queue[Frame] = queue.Queue()
    gate: queue.Queue[None] = queue.Queue()

    def slow(frame: Frame) -> None:
        shown.put(frame)
        gate.get(timeout=PATIENCE)

    running = RunningThread(field, slow)
    running.thread.request(REQUEST)
    shown.get(timeout=PATIENCE)
    requests = [replace(REQUEST, view=replace(VIEW, fov=0.4 + 0.01 * number)) for number in range(30)]
    for request in requests:  # while the first picture is still on its way
        running.thread.request(request)
    gate.put(None)
    assert shown.get(timeout=PATIENCE).request is requests[-1]
    running.thread.stop()
    gate.put(None)
    running.thread.join(PATIENCE)
    assert not running.thread.is_alive()


def test_moving_steadily_still_shows_pictures(running: RunningThread) -> None:
    for number in range(40):
        running.thread.request(replace(HUGE, view=replace(HUGE.view, fov=0.4 + 0.01 * number)))
        time.sleep(0.05)
    first = [running.frames.get_nowait().first for _ in range(running.frames.qsize())]
    assert len(first) >= 2 and all(first)


def test_a_failure_is_reported_and_the_next_request_is_rendered(
    running: RunningThread, caplog: pytest.LogCaptureFixture
) -> None:
    running.thread.request(replace(REQUEST, view=replace(VIEW, rotation=np.zeros((2, 2)))))
    assert "Error" in running.failures.get(timeout=PATIENCE)
    assert "could not be rendered" in caplog.text
    running.thread.request(REQUEST)
    assert running.until_sharp()


def test_a_crop_box_cuts_the_picture(running: RunningThread) -> None:
    infinity = float("inf")
    upper = ((-infinity, -infinity, 0.5), (infinity, infinity, infinity))
    running.thread.request(replace(REQUEST, box=upper))
    opacity = running.until_sharp()[-1].picture.opacity
    assert opacity[:44].mean() > 0.2
    assert opacity[52:].max() == 0
    running.thread.request(REQUEST)
    assert running.until_sharp()[-1].picture.opacity[52:].mean() > 0.1
