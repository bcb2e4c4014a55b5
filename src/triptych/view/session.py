"""One browser: its panel, its overlays and the thread that renders its pictures."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import viser

from triptych.scenes.cameras import Cameras
from triptych.view.camera import Look, ViewCamera, picture_pixels, planar_depth
from triptych.view.overlays import Overlays
from triptych.view.panel import MAX_FPS, MIN_FPS, Panel
from triptych.view.recorder import Recorder
from triptych.view.rendering import (
    Frame,
    PixelCost,
    RenderQueue,
    RenderRequest,
    RenderThread,
    distance_ahead,
    distance_to_surface,
)
from triptych.view.scene import TrainedScene

log = logging.getLogger("triptych")

MOVING_QUALITY, FINAL_QUALITY = 75, 92  # JPEG qualities
STATUS_SECONDS = 0.5  # between two updates of the status while moving
FARTHEST = 3.0  # limit of zooming out, in distances of the farthest photograph from what is orbited


@dataclass(frozen=True)
class Options:
    """Choices of the command line."""

    fps: float  # target while moving
    min_side: int  # lower limit of a moving picture's short side, in pixels
    max_width: int  # limit of the sharpest picture, in pixels
    camera_path: Path  # file for recorded paths


class Session:
    """The viewer of one connected browser, whose camera starts at `home`.

    The queue is shared by all sessions; `cost` is a first estimate.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        scene: TrainedScene,
        queue: RenderQueue,
        *,
        home: Look,
        cost: PixelCost,
        options: Options,
    ) -> None:
        self._client, self._scene, self._queue, self._home = client, scene, queue, home
        self._shown_at = self._status_at = 0.0
        self._has_path = False
        self.thread = RenderThread(
            scene.radiance,
            queue,
            min_side=options.min_side,
            max_width=options.max_width,
            cost=cost,
            show=self._show,
            fail=self._fail,
        )
        self.panel = Panel(client.gui, scene, fps=options.fps, fov=client.camera.fov)
        self._overlays = Overlays(client, scene, self.visit)
        self.recorder = Recorder(
            client, scene.world, scene=scene.name, target=options.camera_path, draw=self._draw_path
        )
        self._connect()
        # The browser's own limit is so far away that the scene is lost before it is reached.
        away = scene.world.from_cube(scene.cameras.position.cpu().double().numpy()) - home.target
        client.camera.max_orbit_distance = FARTHEST * float(np.linalg.norm(away, axis=1).max())
        self.thread.start()
        self.refresh()

    def _connect(self) -> None:
        """Bind the handlers of all elements."""
        panel = self.panel

        @self._client.camera.on_update
        async def _(_: viser.CameraHandle) -> None:
            self.refresh()

        panel.mode.on_update(lambda _: self.refresh())
        panel.fps.on_update(lambda _: self.refresh())
        overlays: list[Any] = [panel.crop, *panel.sides, panel.cameras, panel.points]
        for element in overlays:
            element.on_update(lambda _: self._update_overlays())
        panel.reset.on_click(lambda _: self._move(self._home))

        @panel.level.on_click
        def _(_: object) -> None:
            self._client.camera.up_direction = (0.0, 0.0, 1.0)

        @panel.fov.on_update
        def _(_: object) -> None:
            self._client.camera.fov = math.radians(panel.fov.value)

    def refresh(self) -> None:
        """Request a picture of the current camera and settings; values that no browser sends are ignored."""
        panel = self.panel
        overlays = panel.cameras.value or panel.points.value or panel.crop.value or self._has_path
        try:
            request = RenderRequest(
                view=ViewCamera.of_browser(self._client.camera, self._scene.world),
                box=panel.box(),
                fps=min(MAX_FPS, max(MIN_FPS, panel.fps.value)),
                mode=panel.mode.value,
                depth=overlays,
            )
        except (TypeError, ValueError, OverflowError) as error:
            log.warning("viewer: browser %d sent nonsense: %s", self._client.client_id, error)
            return
        self.thread.request(request)

    def close(self) -> None:
        """End everything that runs for this browser."""
        self.recorder.close()
        self.thread.stop()

    def visit(self, index: int) -> None:
        """Move the browser's camera to a photograph's."""
        scene, view = self._scene, ViewCamera.of_scene(self._scene.cameras, index)
        distance = distance_ahead(view, scene.middle)
        distance = distance or distance_to_surface(scene.radiance, self._queue, view)
        self._move(Look.along(view, scene.world, distance=distance))

    def _move(self, look: Look) -> None:
        look.move(self._client)
        self.panel.show_fov(look.fov)

    def _update_overlays(self) -> None:
        panel, overlays = self.panel, self._overlays
        overlays.show_cameras(panel.cameras.value, self._client.camera.position)
        overlays.show_cloud(panel.points.value)
        overlays.show_box(panel.corners() if panel.crop.value else None)
        self.refresh()

    def _draw_path(self, keyframes: list[ViewCamera], between: Cameras | None) -> None:
        self._overlays.show_path(keyframes, between)
        self._has_path = bool(keyframes)
        self.refresh()

    def _show(self, frame: Frame) -> None:
        """Send a finished picture. Runs in the render thread."""
        request, world = frame.request, self._scene.world
        depth = planar_depth(frame.picture, request.view, world.scale) if request.depth else None
        quality = FINAL_QUALITY if frame.final else MOVING_QUALITY
        pixels = picture_pixels(frame.picture, request.mode)
        self._client.scene.set_background_image(pixels, format="jpeg", jpeg_quality=quality, depth=depth)
        self._client.flush()
        self._overlays.hide_near_cameras(world.from_cube(request.view.position))
        self._show_status(frame)

    def _show_status(self, frame: Frame) -> None:
        """Describe the picture in the panel: sharpening ones always, moving ones now and then."""
        now = time.monotonic()
        interval, self._shown_at = now - self._shown_at, now
        height, width = frame.picture.opacity.shape
        if not frame.first:
            state = "sharp" if frame.final else "sharpening"
            self.panel.status.content = f"{width} × {height} pixels, {state}"
        elif now - self._status_at > STATUS_SECONDS:
            self._status_at = now
            # at the start of a movement the interval is a pause, so the rate is not above 1 / seconds
            rate = min(1 / interval, 1 / frame.seconds)
            self.panel.status.content = f"{width} × {height} pixels, {rate:.1f} frames/s"

    def _fail(self, line: str) -> None:
        self.panel.status.content = f"**The picture failed:** {line}"
