"""What is drawn over the picture for one viewer: cameras, sparse points, the crop box, the recorded path."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import viser
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.view.stance import viewpoint_at
from triptych.view.subject import Subject
from triptych.view.viewpoint import Viewpoint

THUMBNAIL = 96  # pixels, the longer side
FRUSTUM = 0.04  # size over the mean distance between a camera and their middle
POINT = 0.003  # likewise
IN_THE_WAY = 4.0  # frustum sizes: a camera nearer to the viewer's eye than this is hidden
ORANGE, GREY = (240, 120, 20), (60, 60, 60)

Array = NDArray[np.float64]


@cache
def thumbnail(file: Path) -> NDArray[np.uint8]:
    """A small copy of a photograph, (h, w, 3) uint8."""
    with Image.open(file) as image:
        image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return np.asarray(image.convert("RGB"))


def wxyz(rotation: Array) -> Array:
    """A rotation matrix as viser's quaternion."""
    return np.asarray(Rotation.from_matrix(rotation).as_quat(scalar_first=True))


class Overlays:
    """Everything drawn over one viewer's picture; what is heavy is made when it is first shown.

    Args:
        client: the viewer.
        subject: what is viewed.
        visit: called with the position of a camera in the scene when its frustum is clicked.
    """

    def __init__(self, client: viser.ClientHandle, subject: Subject, visit: Callable[[int], None]) -> None:
        self._client, self._subject, self._visit = client, subject, visit
        self._places = subject.world.from_cube(subject.scene.cameras.position.double().numpy())
        spread = np.linalg.norm(self._places - self._places.mean(axis=0), axis=1).mean()
        self._unit = float(spread) or 1.0
        self._frustums: list[viser.CameraFrustumHandle] = []
        self._cameras_shown = False
        self._cloud: viser.PointCloudHandle | None = None
        self._marks: list[viser.SceneNodeHandle] = []
        self._box: viser.SceneNodeHandle | None = None

    def show_cameras(self, visible: bool, eye: Array) -> None:
        """Show or hide the photographs' cameras, seen by a viewer at world position `eye` (3,)."""
        if visible and not self._frustums:
            self._frustums = [self._add_frustum(index) for index in range(len(self._places))]
        self._cameras_shown = visible
        self.clear_sight(eye)

    def clear_sight(self, eye: Array) -> None:
        """Hide the cameras that stand in the way of a viewer at world position `eye` (3,)."""
        if not self._frustums:
            return
        near = np.linalg.norm(self._places - eye, axis=1) < IN_THE_WAY * FRUSTUM * self._unit
        for frustum, hidden in zip(self._frustums, near, strict=True):
            if frustum.visible != (visible := self._cameras_shown and not hidden):
                frustum.visible = visible

    def _add_frustum(self, index: int) -> viser.CameraFrustumHandle:
        scene = self._subject.scene
        view = viewpoint_at(scene.cameras, index)
        frustum = self._client.scene.add_camera_frustum(
            f"/cameras/{index:04d}",
            fov=view.fov,
            aspect=view.canvas[0] / view.canvas[1],
            scale=FRUSTUM * self._unit,
            thickness=1.5,
            thickness_units="screen",
            color=GREY,
            image=thumbnail(scene.files[index]),
            wxyz=wxyz(view.rotation),
            position=self._places[index],
            visible=False,
        )
        frustum.on_click(lambda _: self._visit(index))
        return frustum

    def show_cloud(self, visible: bool) -> None:
        """Show or hide the sparse points."""
        cloud = self._subject.cloud
        if cloud is None:
            return
        if self._cloud is None:
            self._cloud = self._client.scene.add_point_cloud(
                "/points", cloud.points, cloud.colours, point_size=POINT * self._unit, precision="float32"
            )
        self._cloud.visible = visible

    def show_box(self, low: Array, high: Array) -> None:
        """Draw the edges of a box between two corners in world coordinates."""
        self.hide_box()
        self._box = self._client.scene.add_box(
            "/crop", color=ORANGE, dimensions=high - low, position=(low + high) / 2, wireframe=True
        )

    def hide_box(self) -> None:
        """Remove the box."""
        if self._box is not None:
            self._box.remove()
            self._box = None

    def show_path(self, keyframes: list[Viewpoint], between: Cameras | None) -> None:
        """Draw recorded keyframes, and the way between them."""
        for mark in self._marks:
            mark.remove()
        world: World = self._subject.world
        self._marks = [
            self._client.scene.add_camera_frustum(
                f"/path/{number:03d}",
                fov=view.fov,
                aspect=view.canvas[0] / view.canvas[1],
                scale=FRUSTUM * self._unit / 2,
                thickness=2.0,
                thickness_units="screen",
                color=ORANGE,
                wxyz=wxyz(view.rotation),
                position=world.from_cube(view.position),
            )
            for number, view in enumerate(keyframes)
        ]
        if between is not None:
            way = world.from_cube(between.position.double().numpy()).astype(np.float32)
            line = self._client.scene.add_line_segments(
                "/path/way",
                points=np.stack([way[:-1], way[1:]], axis=1),
                colors=ORANGE,
                thickness=2.0,
                thickness_units="screen",
            )
            self._marks.append(line)
