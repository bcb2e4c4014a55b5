"""Overlays on one viewer's picture: cameras, sparse points, the crop box, the recorded path."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from triptych.data.image_files import load_image, on_white, to_8_bits
from triptych.scenes.cameras import Cameras
from triptych.view.camera import ViewCamera
from triptych.view.scene import TrainedScene

THUMBNAIL = 96  # pixels, the longer side
FRUSTUM = 0.04  # size, in mean distances between the cameras and their middle
POINT = 0.003  # size of a point, in the same unit
HIDDEN_DISTANCE = 4.0  # in frustum sizes; cameras nearer to the viewer are hidden
ORANGE, GREY = (240, 120, 20), (60, 60, 60)

Array = NDArray[np.float64]


@cache
def thumbnail(file: Path) -> NDArray[np.uint8]:
    """A small copy of a photograph, (h, w, 3) uint8."""
    image = load_image(file, min_side=2 * THUMBNAIL)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(on_white(to_8_bits(image)))


class Overlays:
    """All overlays of one viewer; the heavy ones are created when they are first shown.

    `visit` is called with a camera's index in the scene when its frustum is clicked.
    """

    def __init__(self, client: viser.ClientHandle, scene: TrainedScene, visit: Callable[[int], None]) -> None:
        self._client, self._scene, self._visit = client, scene, visit
        self._positions = scene.world.from_cube(scene.cameras.position.double().numpy())
        spread = np.linalg.norm(self._positions - self._positions.mean(axis=0), axis=1).mean()
        self._unit = float(spread) or 1.0
        self._frustums: list[viser.CameraFrustumHandle] = []
        self._cameras_shown = False
        self._cloud: viser.PointCloudHandle | None = None
        self._marks: list[viser.SceneNodeHandle] = []
        self._box: viser.SceneNodeHandle | None = None

    def show_cameras(self, visible: bool, eye: Array) -> None:
        """Show or hide the photographs' cameras, for a viewer at world position `eye` (3,)."""
        if visible and not self._frustums:
            self._frustums = [self._add_camera(index) for index in range(len(self._positions))]
        self._cameras_shown = visible
        self.hide_near_cameras(eye)

    def hide_near_cameras(self, eye: Array) -> None:
        """Hide the cameras that would block the view from world position `eye` (3,)."""
        if not self._frustums:
            return
        near = np.linalg.norm(self._positions - eye, axis=1) < HIDDEN_DISTANCE * FRUSTUM * self._unit
        for frustum, hidden in zip(self._frustums, near, strict=True):
            if frustum.visible != (visible := self._cameras_shown and not hidden):
                frustum.visible = visible

    def _add_frustum(
        self, name: str, view: ViewCamera, size: float, **style: Any
    ) -> viser.CameraFrustumHandle:
        return self._client.scene.add_camera_frustum(
            name,
            fov=view.fov,
            aspect=view.aspect,
            scale=size * self._unit,
            thickness_units="screen",
            wxyz=np.asarray(Rotation.from_matrix(view.rotation).as_quat(scalar_first=True)),
            position=self._scene.world.from_cube(view.position),
            **style,
        )

    def _add_camera(self, index: int) -> viser.CameraFrustumHandle:
        view, image = ViewCamera.of_scene(self._scene.cameras, index), thumbnail(self._scene.images[index])
        style = {"thickness": 1.5, "color": GREY, "image": image, "visible": False}
        frustum = self._add_frustum(f"/cameras/{index:04d}", view, FRUSTUM, **style)
        frustum.on_click(lambda _: self._visit(index))
        return frustum

    def show_cloud(self, visible: bool) -> None:
        """Show or hide the sparse points."""
        cloud = self._scene.cloud
        if visible and cloud is not None and self._cloud is None:
            self._cloud = self._client.scene.add_point_cloud(
                "/points", cloud.points, cloud.colours, point_size=POINT * self._unit, precision="float32"
            )
        if self._cloud is not None:
            self._cloud.visible = visible

    def show_box(self, corners: tuple[Array, Array] | None) -> None:
        """Draw the edges of a box between two corners in world coordinates; None removes it."""
        if self._box is not None:
            self._box.remove()
            self._box = None
        if corners is not None:
            low, high = corners
            self._box = self._client.scene.add_box(
                "/crop", color=ORANGE, dimensions=high - low, position=(low + high) / 2, wireframe=True
            )

    def show_path(self, keyframes: list[ViewCamera], between: Cameras | None) -> None:
        """Draw recorded keyframes, and the path of the cameras `between` them."""
        for mark in self._marks:
            mark.remove()
        self._marks = [
            self._add_frustum(f"/path/{number:03d}", view, FRUSTUM / 2, thickness=2.0, color=ORANGE)
            for number, view in enumerate(keyframes)
        ]
        if between is not None:
            path = self._scene.world.from_cube(between.position.double().numpy()).astype(np.float32)
            line = self._client.scene.add_line_segments(
                "/path/way",
                points=np.stack([path[:-1], path[1:]], axis=1),
                colors=ORANGE,
                thickness=2.0,
                thickness_units="screen",
            )
            self._marks.append(line)
