"""Pictures of the current camera, rendered in a thread: small ones while it moves, sharp ones at rest."""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.radiance.composite import RenderedRays
from triptych.radiance.render import MIN_TRANSMITTANCE, RadianceField, RenderedImage, render_tiles
from triptych.radiance.step_schedule import step_scale_for
from triptych.view.camera import OPAQUE, ViewCamera

log = logging.getLogger("triptych")

REST_SECONDS = 0.1  # pause in requests after which the picture is sharpened
SIDE_STEP = 8  # sides of moving pictures are multiples, so that sizes do not flicker
SMOOTHING = 0.5  # weight of the newest measurement in a geometric moving average
MAX_RATIO = 4.0  # limit of a measured cost over the expected one
BAND_SECONDS = 0.05  # rendering time of a band, after which a newer request cancels the picture
MIN_BAND_RAYS = 2048  # fewer rays cost more overhead than rendering
PROBE = 12  # side of the square of rays that measures the distance of the picture's middle
MIN_ORBIT_DISTANCE = 0.25  # unit cubes
# Pictures that are soon replaced take 56 % of the time of exact ones, and differ from them by 32 dB (the fox,
# 135 x 240 pixels).
QUICK_STEPS = 2.0  # limit of their step lengths, in those of the field
QUICK_TRANSMITTANCE = 0.02  # light below which their rays end

Box = tuple[tuple[float, ...], tuple[float, ...]]
Size = tuple[int, int]


class RenderQueue:
    """Renders rays for all viewers in one thread, in the order of the calls.

    The compiled renderer uses all cores and need not support calls from several threads at once. A viewer
    waits for at most one band of every other viewer.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

    def __call__(
        self, radiance: RadianceField, rays: tuple[Tensor, Tensor], width: int, **options: Any
    ) -> RenderedRays:
        """`render_tiles` of whole rows of pixels, `width` each; blocks until they are done."""
        return self._thread.submit(render_tiles, radiance, *rays, width, **options).result()


def distance_ahead(view: ViewCamera, point: NDArray[np.float64]) -> float:
    """Distance in unit cubes along the optical axis to the place nearest to a point (3,); 0: not ahead."""
    ahead = float((point - view.position) @ view.rotation[:, 2])
    return ahead if ahead > MIN_ORBIT_DISTANCE else 0.0


def distance_to_surface(radiance: RadianceField, queue: RenderQueue, view: ViewCamera) -> float:
    """Distance in unit cubes from a camera to the surface straight ahead; 1 if there is none."""
    narrow = replace(view, fov=view.fov / 3, canvas=(1, 1))
    rays = narrow.rays((PROBE, PROBE), (0, PROBE), radiance.background.device)
    rendered = queue(radiance, rays, PROBE)
    opaque = rendered.opacity > OPAQUE
    if int(opaque.sum()) < PROBE:
        return 1.0
    return max(MIN_ORBIT_DISTANCE, float((rendered.depth[opaque] / rendered.opacity[opaque]).median()))


@dataclass
class PixelCost:
    """Rendering time of a pixel in `seconds`, estimated from the pictures so far."""

    seconds: float

    def update(self, pixels: int, seconds: float) -> None:
        """Include a new measurement."""
        ratio = seconds / pixels / self.seconds
        self.seconds *= min(MAX_RATIO, max(1 / MAX_RATIO, ratio)) ** SMOOTHING


def full_size(canvas: Size, max_width: int) -> Size:
    """The sharpest picture of a canvas: its own size, or its shape within `max_width` and four times that."""
    width = max(1, min(canvas[0], max_width, 4 * max_width * canvas[0] // canvas[1]))
    return width, max(1, min(4 * max_width, round(width * canvas[1] / canvas[0])))


def moving_size(full: Size, cost: PixelCost, *, fps: float, min_side: int) -> Size:
    """The largest picture that can be rendered `fps` times a second, in the shape of the sharpest, `full`.

    It is never larger than that one, and its short side has `min_side` pixels even if it takes longer.
    """
    width, height = full
    short, long = min(full), max(full)
    affordable = 1 / (fps * cost.seconds)
    side = int((affordable * short / long) ** 0.5) // SIDE_STEP * SIDE_STEP
    scale = min(1.0, max(side, min_side) / short)
    return max(1, round(width * scale)), max(1, round(height * scale))


def sharper_size(size: Size, full: Size) -> Size:
    """The next larger picture: twice as wide, or `full` if that is not much larger."""
    width, height = size[0] * 2, size[1] * 2
    return full if width * 1.5 > full[0] or height * 1.5 > full[1] else (width, height)


def band_rows(width: int, cost: PixelCost) -> int:
    """Rows of a picture to render before checking for a newer request."""
    rays = max(MIN_BAND_RAYS, BAND_SECONDS / cost.seconds)
    return max(1, int(rays / width))


def quick_step_scale(radiance: RadianceField, view: ViewCamera, size: Size) -> float:
    """Factor on the step lengths for a picture that is soon replaced: steps as long as its pixels allow.

    The field's own factor is made for its photographs, which are usually larger than a moving picture. Steps
    above `QUICK_STEPS` times as long miss thin surfaces.
    """
    focal = torch.tensor(size[1] / 2 / math.tan(view.fov / 2))
    allowed = max(radiance.step_scale, step_scale_for(focal))
    return min(QUICK_STEPS * radiance.step_scale, allowed)


@dataclass(frozen=True)
class RenderRequest:
    """A request for a picture."""

    view: ViewCamera
    box: Box | None  # opposite corners in the unit cube of the crop box
    fps: float  # target while moving
    mode: str  # one of `camera.MODES`
    depth: bool  # whether the browser needs depth, too


@dataclass(frozen=True)
class Frame:
    """A finished picture."""

    picture: RenderedImage
    request: RenderRequest
    first: bool  # of this request
    final: bool  # no sharper one follows
    seconds: float  # of rendering


class RenderThread(threading.Thread):
    """Renders the newest request until it is stopped; older requests are dropped.

    The first picture of a request is small enough for the target frame rate, with a short side of `min_side`
    pixels or more. If no newer request comes, sharper pictures follow, up to `max_width` pixels wide; a newer
    request cancels them. `cost` is a first estimate; the queue is shared by all viewers. This thread calls
    `show` with each frame, and `fail` with one line for each failure; the next request is a new attempt.
    """

    def __init__(
        self,
        radiance: RadianceField,
        queue: RenderQueue,
        *,
        min_side: int,
        max_width: int,
        cost: PixelCost,
        show: Callable[[Frame], None],
        fail: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True, name="viewer")
        self._radiance, self._queue, self._cost = radiance, queue, cost
        self._min_side, self._max_width = min_side, max_width
        self._show, self._fail = show, fail
        self._changed = threading.Condition()
        self._request: RenderRequest | None = None
        self._number = 0  # requests so far
        self._stopping = False
        self._cropped: tuple[Box | None, RadianceField] = None, radiance

    def request(self, request: RenderRequest) -> None:
        """Replace the request; never blocks for long."""
        with self._changed:
            self._request, self._number = request, self._number + 1
            self._changed.notify()

    def stop(self) -> None:
        """End the thread soon."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """The thread's loop."""
        served = 0
        while True:
            with self._changed:
                while not self._superseded(served):
                    self._changed.wait()
                if self._stopping or self._request is None:
                    return
                request, served = self._request, self._number
            try:
                self._serve(request, served)
            except Exception as error:  # the server survives any failure of one picture
                log.exception("viewer: a picture could not be rendered")
                self._fail(f"{type(error).__name__}: {error}")

    def _superseded(self, number: int) -> bool:
        return self._stopping or self._number != number

    def _serve(self, request: RenderRequest, number: int) -> None:
        full = full_size(request.view.canvas, self._max_width)
        size = moving_size(full, self._cost, fps=request.fps, min_side=self._min_side)
        began = time.perf_counter()
        # small and quick: never cancelled, or a steady movement would show no picture at all
        self._render(request, size, size[1], first=True, final=False)
        self._cost.update(size[0] * size[1], time.perf_counter() - began)
        with self._changed:
            if self._changed.wait_for(lambda: self._superseded(number), REST_SECONDS):
                return
        final = False
        while not final:
            size = sharper_size(size, full)
            final = size == full
            rows = band_rows(size[0], self._cost)
            if not self._render(request, size, rows, final=final, number=number):
                return

    def _render(
        self,
        request: RenderRequest,
        size: Size,
        rows: int,
        *,
        first: bool = False,
        final: bool,
        number: int | None = None,
    ) -> bool:
        """Render and show a picture, `rows` rows at a time; False if request `number` was superseded."""
        began = time.perf_counter()
        radiance = self._crop(request.box)
        if not final:
            radiance = replace(radiance, step_scale=quick_step_scale(radiance, request.view, size))
        transmittance = MIN_TRANSMITTANCE if final else QUICK_TRANSMITTANCE
        bands = []
        for row in range(0, size[1], rows):
            band = row, min(row + rows, size[1])
            rays = request.view.rays(size, band, radiance.background.device)
            bands.append(self._queue(radiance, rays, size[0], min_transmittance=transmittance))
            if number is not None and self._superseded(number):
                return False
        picture = RenderedImage.from_rays(RenderedRays.concatenate(bands), size, radiance.background)
        if self._stopping:
            return False
        self._show(Frame(picture, request, first, final, time.perf_counter() - began))
        return True

    def _crop(self, box: Box | None) -> RadianceField:
        """The field within a box; the last one is kept."""
        if self._cropped[0] != box:
            whole = self._radiance
            cropped = whole if box is None else replace(whole, occupancy=whole.occupancy.crop(*box))
            self._cropped = box, cropped
        return self._cropped[1]
