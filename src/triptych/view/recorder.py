"""Recording a camera path: its section of the panel, the preview, and the file."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import viser

from triptych.scenes.camera_path import keyframe_path
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.scenes.keyframes import (
    MAX_KEYFRAMES,
    CameraPath,
    Keyframe,
    check_camera_path,
    read_camera_path,
    write_camera_path,
)
from triptych.view.camera import Look, ViewCamera
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

PREVIEW_FPS = 20
DRAWN = 16  # points of the drawn path per keyframe


def _saved(target: Path) -> tuple[CameraPath | None, str]:
    """The path that was saved before, if there is one, or what is wrong with its file."""
    try:
        return read_camera_path(target) if target.is_file() else None, ""
    except TriptychError as error:
        return None, f"{error}. `Save` replaces it."


class Recorder:
    """Keyframes of one viewer, with the buttons that add, remove, play and save them.

    They are saved to the file `target`, with the name of the scene; recording continues from its content.
    `draw` is called with the keyframes, and with cameras along the path if there are two or more.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        world: World,
        *,
        scene: str,
        target: Path,
        draw: Callable[[list[ViewCamera], Cameras | None], None],
    ) -> None:
        self._client, self._world, self._scene, self._target, self._draw = client, world, scene, target, draw
        saved, problem = _saved(target)
        self._keyframes = list(saved.keyframes) if saved else []
        self._aspect = saved.aspect if saved else 1.0
        self._stopped = threading.Event()
        self._stopped.set()
        with client.gui.add_folder("Camera path"):
            self._note = client.gui.add_markdown("")
            self._seconds = client.gui.add_number(
                "Seconds", saved.seconds if saved else 8.0, min=0.1, max=600
            )
            self._fps = client.gui.add_number(
                "Frames/s of the film", saved.fps if saved else 24.0, min=1, max=120
            )
            keyframes = {"Add": self.add, "Remove last": self.remove_last, "Clear": self.clear}
            path = {"Play / stop": self.play, "Save": self.save}
            actions = keyframes | path
            for label, names in (("Keyframes", keyframes), ("Path", path)):
                buttons = client.gui.add_button_group(label, list(names))
                buttons.on_click(lambda event: self._act(actions, event.target.value))
        self._changed()
        self._show_note(problem)

    def _act(self, actions: Mapping[str, Callable[[], None]], name: str) -> None:
        """Do what a button says; a note tells if the browser's values make no path."""
        if name in actions:
            try:
                actions[name]()
            except (TypeError, ValueError, OverflowError) as error:
                self._show_note(f"not possible: {error}")

    def add(self) -> None:
        """Append the viewer's camera as the next keyframe."""
        if len(self._keyframes) >= MAX_KEYFRAMES:
            self._show_note("no more are possible")
            return
        view = ViewCamera.of_browser(self._client.camera, self._world)
        pose = self._world.pose(view.rotation, view.position)
        self._keyframes.append(Keyframe(pose, math.degrees(view.fov)))
        self._aspect = view.aspect
        self._changed()

    def remove_last(self) -> None:
        """Remove the last keyframe."""
        del self._keyframes[-1:]
        self._changed()

    def clear(self) -> None:
        """Remove all keyframes; the file stays."""
        self._keyframes.clear()
        self._changed()

    def save(self) -> None:
        """Write the file."""
        if len(self._keyframes) < 2:
            self._show_note("add at least two keyframes, then save")
            return
        try:
            write_camera_path(self._target, self._path(), scene=self._scene)
        except OSError as error:
            self._show_note(f"not saved: {error}")
            return
        log.info("viewer: saved %s", self._target)
        self._show_note(f"saved to `{self._target}`")

    def play(self) -> None:
        """Play the path at the film's speed; called again, stop."""
        if not self._stopped.is_set():
            self._stopped.set()
            return
        if len(self._keyframes) < 2:
            self._show_note("add at least two keyframes, then play")
            return
        check_camera_path(self._path())
        seconds = self._path().seconds
        cameras = self._cameras(round(seconds * PREVIEW_FPS) + 1)
        self._stopped.clear()
        began = time.monotonic()
        while not self._stopped.wait(1 / PREVIEW_FPS) and (elapsed := time.monotonic() - began) < seconds:
            self._move(cameras, min(len(cameras) - 1, round(elapsed * PREVIEW_FPS)))
        if not self._stopped.is_set():
            self._move(cameras, len(cameras) - 1)
            self._stopped.set()

    def close(self) -> None:
        """Stop a running preview."""
        self._stopped.set()

    def _path(self) -> CameraPath:
        return CameraPath(
            tuple(self._keyframes), float(self._seconds.value), float(self._fps.value), self._aspect
        )

    def _cameras(self, frames: int) -> Cameras:
        return keyframe_path(self._path(), self._world, frames=frames, width=2)

    def _move(self, cameras: Cameras, index: int) -> None:
        camera, view = self._client.camera, ViewCamera.of_scene(cameras, index)
        distance = float(np.linalg.norm(camera.look_at - camera.position)) * self._world.scale
        Look.along(view, self._world, distance=distance).move(self._client)

    def _show_note(self, text: str) -> None:
        count = len(self._keyframes)
        self._note.content = f"{count} keyframe{'' if count == 1 else 's'}{': ' if text else ''}{text}"

    def _changed(self) -> None:
        self._show_note("")
        canvas = round(1000 * self._aspect), 1000
        views = [
            ViewCamera(*self._world.camera(keyframe.pose), math.radians(keyframe.fov), canvas)
            for keyframe in self._keyframes
        ]
        self._draw(views, self._cameras(DRAWN * len(views)) if len(views) > 1 else None)
