"""One browser: its panel, its overlays and the worker that makes its pictures, tied together."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import viser

from triptych.scenes.cameras import Cameras
from triptych.view.controls import Controls
from triptych.view.overlays import Overlays
from triptych.view.picture import pixels_of, planar_depth
from triptych.view.recorder import Recorder
from triptych.view.resolution import Pace
from triptych.view.stance import distance_ahead, stand_at, viewpoint_at, viewpoint_of
from triptych.view.subject import Subject
from triptych.view.viewpoint import Viewpoint
from triptych.view.worker import Frame, Limits, Renderer, Wish, Worker

MOVING_QUALITY, FINAL_QUALITY = 75, 92  # of JPEG
STATUS_SECONDS = 0.5  # between two updates while moving


@dataclass(frozen=True)
class Options:
    """What the command line decides: frames/s to aim for, bounds on sizes, and where paths are saved."""

    fps: float
    limits: Limits
    camera_path: Path


class Session:
    """Everything that belongs to one connected browser.

    Args:
        client: the connection.
        subject: what is viewed.
        renderer: shared by all sessions.
        seconds_per_pixel: what a pixel is expected to cost at first.
        options: see `Options`.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        subject: Subject,
        renderer: Renderer,
        *,
        seconds_per_pixel: float,
        options: Options,
    ) -> None:
        self._client, self._subject, self._renderer = client, subject, renderer
        self._shown_at = self._told_at = 0.0
        self._has_path = False
        self.worker = Worker(
            subject.field,
            renderer,
            limits=options.limits,
            pace=Pace(seconds_per_pixel),
            show=self._show,
            fail=self._fail,
        )
        self.controls = Controls(client.gui, subject, fps=options.fps, fov=client.camera.fov)
        self._overlays = Overlays(client, subject, self.visit)
        self.recorder = Recorder(
            client, subject.world, scene=subject.name, target=options.camera_path, draw=self._draw_path
        )
        self._connect()
        self.worker.start()
        self.refresh()

    def _connect(self) -> None:
        """Let each change have its effect."""
        controls = self.controls

        @self._client.camera.on_update
        async def _(_: viser.CameraHandle) -> None:
            self.refresh()

        controls.mode.on_update(lambda _: self.refresh())
        controls.fps.on_update(lambda _: self.refresh())
        controls.crop.on_update(lambda _: self._recrop())
        for side in controls.sides:
            side.on_update(lambda _: self._recrop())
        controls.cameras.on_update(lambda _: self._toggle_cameras())
        controls.points.on_update(lambda _: self._toggle_points())
        controls.level.on_click(lambda _: self._level())

        @controls.fov.on_update
        def _(_: object) -> None:
            self._client.camera.fov = math.radians(controls.fov.value)

    def refresh(self) -> None:
        """Ask for a picture of how things are now."""
        controls = self.controls
        self.worker.wish(
            Wish(
                viewpoint=viewpoint_of(self._client.camera, self._subject.world),
                box=controls.box(),
                fps=controls.fps.value,
                mode=controls.mode.value,
                depth=controls.cameras.value
                or controls.points.value
                or controls.crop.value
                or self._has_path,
            )
        )

    def close(self) -> None:
        """The browser has gone."""
        self.recorder.close()
        self.worker.stop()

    def visit(self, index: int) -> None:
        """Go to where a photograph was taken."""
        view, world = viewpoint_at(self._subject.scene.cameras, index), self._subject.world
        distance = distance_ahead(self._subject.field, self._renderer, view, world.offset)
        stand_at(self._client, view, world, distance=distance)
        self.controls.show_fov(view.fov)

    def _level(self) -> None:
        self._client.camera.up_direction = (0.0, 0.0, 1.0)

    def _toggle_cameras(self) -> None:
        self._overlays.show_cameras(self.controls.cameras.value, self._client.camera.position)
        self.refresh()

    def _toggle_points(self) -> None:
        self._overlays.show_cloud(self.controls.points.value)
        self.refresh()

    def _recrop(self) -> None:
        if self.controls.crop.value:
            self._overlays.show_box(*self.controls.corners())
        else:
            self._overlays.hide_box()
        self.refresh()

    def _draw_path(self, keyframes: list[Viewpoint], between: Cameras | None) -> None:
        self._overlays.show_path(keyframes, between)
        self._has_path = bool(keyframes)
        self.refresh()

    def _show(self, frame: Frame) -> None:
        """Send a finished picture. Runs in the worker's thread."""
        wish, world = frame.wish, self._subject.world
        depth = planar_depth(frame.picture, wish.viewpoint, world.scale) if wish.depth else None
        quality = FINAL_QUALITY if frame.final else MOVING_QUALITY
        pixels = pixels_of(frame.picture, wish.mode)
        self._client.scene.set_background_image(pixels, format="jpeg", jpeg_quality=quality, depth=depth)
        self._client.flush()
        self._overlays.clear_sight(world.from_cube(wish.viewpoint.position))
        self._tell(frame)

    def _tell(self, frame: Frame) -> None:
        """Say below the title what is shown: of moving pictures now and then, at rest always."""
        now = time.monotonic()
        interval, self._shown_at = now - self._shown_at, now
        height, width = frame.picture.opacity.shape
        if not frame.first:
            speed = "sharp" if frame.final else "sharpening"
            self.controls.status.content = f"{width} × {height} pixels, {speed}"
        elif now - self._told_at > STATUS_SECONDS:
            self._told_at = now
            rate = min(
                1 / interval, 1 / frame.seconds
            )  # the interval is a pause where this one starts a move
            self.controls.status.content = f"{width} × {height} pixels, {rate:.1f} frames/s"

    def _fail(self, line: str) -> None:
        self.controls.status.content = f"**The picture failed:** {line}"
