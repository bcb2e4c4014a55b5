"""Where the browser's camera stands: reading it, and moving it.

The browser's world is that of transforms.json: +z is up, the scene's middle is near the origin.
"""

import math

import numpy as np
import viser
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from triptych.radiance.render import RadianceField
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.view.picture import SOLID
from triptych.view.viewpoint import Viewpoint
from triptych.view.worker import Renderer

MAX_FOV = math.radians(120)  # a picture on a plane shows no more
PROBE = 12  # rays a side to find out how far away the middle of a picture is
NEAREST = 0.25  # unit cubes: turning around a point nearer than this is no fun

Array = NDArray[np.float64]


def viewpoint_of(camera: viser.CameraHandle, world: World) -> Viewpoint:
    """What the browser's camera sees."""
    return Viewpoint(
        rotation=Rotation.from_quat(camera.wxyz, scalar_first=True).as_matrix(),
        position=world.to_cube(np.asarray(camera.position, dtype=np.float64)),
        fov=float(camera.fov),
        canvas=(int(camera.image_width), int(camera.image_height)),
    )


def viewpoint_at(cameras: Cameras, index: int) -> Viewpoint:
    """The view of one of a scene's cameras, without its distortion."""
    width, height = cameras.size[index].tolist()
    fov = 2 * math.atan(height / 2 / float(cameras.focal[index, 1]))
    return Viewpoint(
        rotation=cameras.rotation[index].cpu().double().numpy(),
        position=cameras.position[index].cpu().double().numpy(),
        fov=min(fov, MAX_FOV),
        canvas=(width, height),
    )


def distance_ahead(field: RadianceField, renderer: Renderer, viewpoint: Viewpoint, middle: Array) -> float:
    """How far ahead the point lies that a viewer turns around, in unit cubes.

    The point of the view's axis that is nearest to the scene's `middle` (3,), where the view looks
    towards it; else what is seen straight ahead.
    """
    towards = float((middle - viewpoint.position) @ viewpoint.rotation[:, 2])
    if towards > NEAREST:
        return towards
    ahead = Viewpoint(viewpoint.rotation, viewpoint.position, viewpoint.fov / 3, (1, 1))
    seen = renderer(field, *ahead.rays((PROBE, PROBE), (0, PROBE), field.background.device), PROBE)
    solid = seen.opacity > SOLID
    if int(solid.sum()) < PROBE:
        return 1.0
    return max(NEAREST, float((seen.depth[solid] / seen.opacity[solid]).median()))


def stand_at(client: viser.ClientHandle, viewpoint: Viewpoint, world: World, *, distance: float) -> None:
    """Move the browser's camera to a viewpoint, to turn around the point `distance` unit cubes ahead."""
    position = world.from_cube(viewpoint.position)
    with client.atomic():
        client.camera.position = position
        client.camera.look_at = position + viewpoint.rotation[:, 2] * distance / world.scale
        client.camera.up_direction = -viewpoint.rotation[:, 1]
        client.camera.fov = viewpoint.fov
