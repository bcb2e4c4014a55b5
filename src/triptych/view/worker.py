"""Pictures for one viewer, made in a thread of its own: the latest wish wins."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.radiance.composite import Rendered
from triptych.radiance.crop import crop
from triptych.radiance.render import Picture, RadianceField, render_rays, tile_order
from triptych.view.picture import as_picture
from triptych.view.resolution import Pace, Size, band_rows, full_size, moving_size, sharper
from triptych.view.viewpoint import Viewpoint

log = logging.getLogger("triptych")

REST_SECONDS = 0.1  # without a new wish, before the picture is made sharper

Box = tuple[tuple[float, ...], tuple[float, ...]]


class Renderer:
    """Renders rays for all viewers in one thread, in the order asked for.

    Kernels use every core by themselves and need not allow calls from several threads at once;
    in a queue no viewer waits longer than for one band of each other.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

    def __call__(self, field: RadianceField, origins: Tensor, directions: Tensor, width: int) -> Rendered:
        """What rays see that come row by row, `width` in each; blocks until it is known."""
        return self._thread.submit(_render, field, origins, directions, width).result()


def _render(field: RadianceField, origins: Tensor, directions: Tensor, width: int) -> Rendered:
    """`render_rays`, in the order that is fastest."""
    order = tile_order(width, len(origins) // width).to(origins.device)
    seen = render_rays(field, origins[order], directions[order])
    colour, opacity, depth = (torch.empty_like(value) for value in (seen.colour, seen.opacity, seen.depth))
    colour[order], opacity[order], depth[order] = seen.colour, seen.opacity, seen.depth
    return Rendered(colour, opacity, depth)


@dataclass(frozen=True)
class Wish:
    """What one viewer wants to see.

    Attributes:
        viewpoint: from where.
        box: opposite corners in the unit cube outside which nothing is shown, or None.
        fps: pictures a second to aim for while moving.
        mode: what of the picture to show.
        depth: whether depths are wanted with it.
    """

    viewpoint: Viewpoint
    box: Box | None
    fps: float
    mode: str
    depth: bool


@dataclass(frozen=True)
class Limits:
    """Bounds on the pictures: the moving one's short side in pixels, the sharpest one's width."""

    shortest: int
    max_width: int


@dataclass(frozen=True)
class Frame:
    """A finished picture.

    Attributes:
        picture: what is seen.
        wish: what was asked for.
        first: whether it is the first picture for this wish.
        final: whether nothing sharper will follow.
        seconds: how long it took to render.
    """

    picture: Picture
    wish: Wish
    first: bool
    final: bool
    seconds: float


class Worker(threading.Thread):
    """Turns wishes into frames until it is stopped.

    A new wish is met at once with a picture that takes 1/fps seconds. If no other follows, sharper
    ones are made; these are given up when one does. Wishes that are overtaken are forgotten.

    Args:
        field: what to look at.
        renderer: shared by all workers.
        limits: bounds on the pictures' sizes.
        pace: first guess of what a pixel costs.
        show: called with each frame, in this thread.
        fail: called with one line for each failure, in this thread; the next wish is a new attempt.
    """

    def __init__(
        self,
        field: RadianceField,
        renderer: Renderer,
        *,
        limits: Limits,
        pace: Pace,
        show: Callable[[Frame], None],
        fail: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True, name="viewer")
        self._field, self._renderer, self._limits, self._pace = field, renderer, limits, pace
        self._show, self._fail = show, fail
        self._changed = threading.Condition()
        self._wish: Wish | None = None
        self._number = 0  # of wishes so far
        self._stopping = False
        self._cropped: tuple[Box | None, RadianceField] = None, field

    def wish(self, wish: Wish) -> None:
        """Ask for a picture; never blocks for long."""
        with self._changed:
            self._wish, self._number = wish, self._number + 1
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
                while not self._overtaken(served):
                    self._changed.wait()
                if self._stopping or self._wish is None:
                    return
                wish, served = self._wish, self._number
            try:
                self._serve(wish, served)
            except Exception as error:  # the server outlives whatever goes wrong in one picture
                log.exception("viewer: a picture could not be rendered")
                self._fail(f"{type(error).__name__}: {error}")

    def _overtaken(self, number: int) -> bool:
        return self._stopping or self._number != number

    def _serve(self, wish: Wish, number: int) -> None:
        full = full_size(wish.viewpoint.canvas, self._limits.max_width)
        size = moving_size(full, self._pace, fps=wish.fps, shortest=self._limits.shortest)
        began = time.perf_counter()
        # small and quick: finished in any case, or a steady movement would show nothing at all
        self._make(wish, size, size[1], first=True, final=size == full)
        self._pace.measured(size[0] * size[1], time.perf_counter() - began)
        with self._changed:
            if self._changed.wait_for(lambda: self._overtaken(number), REST_SECONDS):
                return
        while size != full:
            size = sharper(size, full)
            rows = band_rows(size[0], self._pace)
            if not self._make(wish, size, rows, final=size == full, number=number):
                return

    def _make(
        self,
        wish: Wish,
        size: Size,
        rows: int,
        *,
        first: bool = False,
        final: bool,
        number: int | None = None,
    ) -> bool:
        """Make and show a picture, `rows` rows at a time; False if wish `number` was overtaken meanwhile."""
        began = time.perf_counter()
        field = self._inside(wish.box)
        bands = []
        for row in range(0, size[1], rows):
            band = row, min(row + rows, size[1])
            bands.append(
                self._renderer(field, *wish.viewpoint.rays(size, band, field.background.device), size[0])
            )
            if number is not None and self._overtaken(number):
                return False
        picture = as_picture(bands, size, field.background)
        if self._stopping:
            return False
        self._show(Frame(picture, wish, first, final, time.perf_counter() - began))
        return True

    def _inside(self, box: Box | None) -> RadianceField:
        """The field within a box; the last one is kept."""
        if self._cropped[0] != box:
            self._cropped = box, self._field if box is None else crop(self._field, *box)
        return self._cropped[1]
