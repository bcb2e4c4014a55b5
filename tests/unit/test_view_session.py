"""The viewer's server, with a websocket client in place of the browser."""

import io
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ball_field import write_ball_results
from PIL import Image
from scipy.spatial.transform import Rotation
from sphere_scene import ring_of_poses

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks._viewer_client import Client, Message  # noqa: E402

from triptych.scenes.keyframes import CameraPath, Keyframe, read_camera_path, write_camera_path  # noqa: E402
from triptych.view.rendering import RenderQueue  # noqa: E402
from triptych.view.scene import TrainedScene, read_trained_scene  # noqa: E402
from triptych.view.server import first_look, serve  # noqa: E402
from triptych.view.session import Options  # noqa: E402

LOOKING_AT_IT = Rotation.from_matrix([[0, 0, -1], [1, 0, 0], [0, -1, 0]]).as_quat(scalar_first=True)
MIDDLE = np.s_[50:70, 70:90]
FROM = (3.0, 0.0, 0.0)  # in the world, where the ball is around the origin


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> TrainedScene:
    folder = write_ball_results(tmp_path_factory.mktemp("scenes") / "ball")
    return read_trained_scene(folder, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paths") / "ball.json"


@pytest.fixture(scope="module")
def port(scene: TrainedScene, saved: Path) -> Iterator[int]:
    options = Options(fps=10, min_side=16, max_width=160, camera_path=saved)
    server = serve(scene, host="127.0.0.1", port=0, options=options)
    yield server.get_port()
    server.stop()


def shows_the_ball(picture: np.ndarray) -> bool:
    """In the middle, with nothing around it."""
    return bool(picture[MIDDLE].max(axis=-1).min() > 40 and picture[:10, :10].max() < 12)


def shows_white(picture: np.ndarray) -> bool:
    """In the middle."""
    return bool(picture[MIDDLE].min() > 240)


class Panel(Client):
    """A client that knows the panel's elements by their labels."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.elements: dict[str, str] = {}
        self.pictures: list[np.ndarray] = []

    def messages(self, timeout: float) -> Iterator[Message]:
        for message in super().messages(timeout):
            if "container_uuid" in message:
                self.elements[message["props"].get("label") or message["type"]] = message["uuid"]
            yield message

    def open(self) -> None:
        """Look at the ball, and wait until the panel and the picture are there."""
        self.look(wxyz=LOOKING_AT_IT, position=FROM)
        self.until(shows_the_ball)

    def until(self, what: Callable[[np.ndarray], object]) -> np.ndarray:
        """The first picture at full resolution, (h, w, 3), that is as it should be."""
        while True:
            picture = np.asarray(Image.open(io.BytesIO(self.wait_for_picture()["rgb_data"]))).astype(float)
            if picture.shape == (120, 160, 3) and what(picture):
                return picture

    def set(self, label: str, value: Any) -> None:
        """Set an element of the panel."""
        self.send("GuiUpdateMessage", uuid=self.elements[label], updates={"value": value})

    def says(self, text: str) -> Message:
        """Wait until a text of the panel contains `text`."""
        while True:
            message = self.wait_for("GuiUpdateMessage")
            if text in str(message["updates"]):
                return message


@pytest.fixture
def panel(port: int) -> Iterator[Panel]:
    with Panel(port) as panel:
        panel.open()
        yield panel


def test_the_browser_starts_at_the_first_camera_with_z_up(port: int, scene: TrainedScene) -> None:
    with Panel(port) as panel:
        position = panel.wait_for("SetCameraPositionMessage", initial=True)["position"]
    expected = scene.world.from_cube(scene.cameras.position[0].double().numpy())
    assert np.allclose(position, expected, atol=1e-5)
    with Panel(port) as panel:
        ahead = np.array(panel.wait_for("SetCameraLookAtMessage", initial=True)["look_at"])
    assert np.abs(ahead).max() < 1e-3  # the first camera looks at the origin: that is turned around


def test_the_view_can_be_reset(panel: Panel, scene: TrainedScene) -> None:
    panel.look(wxyz=LOOKING_AT_IT, position=(30.0, 0.0, 0.0))
    panel.set("Reset the view", True)
    position = np.array(panel.wait_for("SetCameraPositionMessage")["position"])
    target = np.array(panel.wait_for("SetCameraLookAtMessage")["look_at"])
    assert np.allclose(position, scene.world.from_cube(scene.cameras.position[0].double().numpy()), atol=1e-5)
    assert np.abs(target).max() < 1e-3  # where the ball is


def test_the_scene_is_not_lost_by_zooming_out(port: int) -> None:
    with Panel(port) as panel:
        panel.look(wxyz=LOOKING_AT_IT, position=FROM)
        assert panel.wait_for("SetCameraMaxOrbitDistanceMessage")["max_orbit_distance"] < 20


@pytest.mark.parametrize(("turn", "expected"), [(20, (0, 0, 0)), (180, None)])
def test_what_is_orbited_is_the_middle_of_the_scene_unless_it_is_behind(
    scene: TrainedScene, turn: float, expected: tuple[float, ...] | None
) -> None:
    """Also where the first camera looks past it."""
    rotation = scene.cameras.rotation.clone()
    turned = Rotation.from_euler("y", turn, degrees=True).as_matrix()
    rotation[0] = rotation[0] @ torch.from_numpy(turned).to(rotation)
    cameras = replace(scene.cameras, rotation=rotation)
    look = first_look(replace(scene, cameras=cameras), RenderQueue())
    if expected is None:
        ahead = (look.target - look.position) @ rotation[0, :, 2].double().numpy()
        assert ahead == pytest.approx(np.linalg.norm(look.target - look.position))
    else:
        assert np.abs(look.target - expected).max() < 0.4


def test_pictures_come_without_depth_while_nothing_is_drawn_over_them(port: int) -> None:
    with Panel(port) as panel:
        panel.look(wxyz=LOOKING_AT_IT, position=FROM)
        width = 0
        while width < 160:
            message = panel.wait_for_picture()
            assert message["depth_data"] is None
            width = Image.open(io.BytesIO(message["rgb_data"])).width


def test_the_picture_follows_the_camera(panel: Panel) -> None:
    panel.look(wxyz=LOOKING_AT_IT, position=(30.0, 0.0, 0.0))
    panel.until(lambda picture: 0 < (picture.max(axis=-1) > 40).mean() < 0.01)
    panel.look(wxyz=LOOKING_AT_IT, position=FROM)
    panel.until(shows_the_ball)


def test_modes_change_the_picture(panel: Panel) -> None:
    panel.set("Show", "opacity")
    panel.until(shows_white)
    panel.set("Show", "depth")
    depth = panel.until(lambda picture: picture[:10, :10].min() > 240)  # nothing there
    assert depth[60, 80, 0] > depth[60, 80, 2] + 50  # near is red


def test_cameras_are_drawn_with_depth_and_lead_to_their_views(panel: Panel, scene: TrainedScene) -> None:
    panel.set("Cameras", True)
    frustums = [panel.wait_for("CameraFrustumMessage") for _ in scene.images]
    assert [frustum["name"] for frustum in frustums] == [f"/cameras/{number:04d}" for number in range(8)]
    while panel.wait_for_picture()["depth_data"] is None:
        pass
    panel.send(
        "SceneNodeClickMessage",
        name=frustums[2]["name"],
        instance_index=None,
        ray_origin=[0.0, 0.0, 0.0],
        ray_direction=[0.0, 0.0, 1.0],
        screen_pos=[0.5, 0.5],
        modifier=None,
        owner=frustums[2]["owner"],
    )
    position = panel.wait_for("SetCameraPositionMessage")["position"]
    expected = scene.world.from_cube(scene.cameras.position[2].double().numpy())
    assert np.allclose(position, expected, atol=1e-5)


def test_the_sparse_points_are_those_of_the_file(panel: Panel) -> None:
    panel.set("Sparse points", True)
    points = panel.wait_for("PointCloudMessage")
    assert points["name"] == "/points"


def test_a_crop_box_cuts_the_picture_and_is_drawn(panel: Panel) -> None:
    panel.set("Only the inside of a box", True)
    assert panel.wait_for("BoxMessage")["props"]["wireframe"]
    panel.until(shows_the_ball)  # all handles are at their ends
    panel.set("z", [0.0, 1.5])
    cut = panel.until(lambda picture: picture[80:95, 75:85].max() < 12)
    assert cut[35:50, 75:85].max(axis=-1).min() > 40


def test_a_path_is_recorded_saved_and_gone_on_with(port: int, saved: Path) -> None:
    with Panel(port) as panel:
        panel.open()
        panel.set("Keyframes", "Add")
        panel.says("1 keyframe")
        panel.look(wxyz=LOOKING_AT_IT, position=(2.0, 0.0, 0.0))
        panel.until(lambda picture: picture[:6, 70:90].max(axis=-1).min() > 40)  # near enough to fill it
        panel.set("Keyframes", "Add")
        panel.says("2 keyframes")
        panel.set("Path", "Save")
        panel.says("saved to")
    path = read_camera_path(saved)
    saved.unlink()
    assert np.allclose([keyframe.pose[:3, 3] for keyframe in path.keyframes], [[3, 0, 0], [2, 0, 0]])
    assert path.keyframes[0].fov == pytest.approx(math.degrees(0.8))
    assert path.keyframes[0].pose[:3, 2].tolist() == pytest.approx([1, 0, 0])  # OpenGL: backward is +x
    assert path.aspect == pytest.approx(4 / 3)


def test_recording_goes_on_from_the_saved_path(port: int, saved: Path) -> None:
    keyframes = tuple(Keyframe(pose, 40.0) for pose in ring_of_poses(4)[:2])
    write_camera_path(saved, CameraPath(keyframes, 4.0, 12.0, 1.5), scene="ball")
    with Panel(port) as panel:
        panel.open()
        panel.set("Keyframes", "Remove last")
        panel.says("1 keyframe")
        panel.set("Path", "Play / stop")
        panel.says("add at least two")
        panel.set("Keyframes", "Clear")
        panel.says("0 keyframes")
    assert len(read_camera_path(saved).keyframes) == 2
    saved.unlink()


def test_a_preview_moves_the_camera_along_the_path(port: int) -> None:
    with Panel(port) as panel:
        panel.open()
        panel.set("Seconds", 1.0)
        panel.set("Keyframes", "Add")
        panel.says("1 keyframe")
        panel.look(wxyz=LOOKING_AT_IT, position=(2.0, 0.0, 0.0))
        panel.until(lambda picture: picture[:6, 70:90].max(axis=-1).min() > 40)  # near enough to fill it
        panel.set("Keyframes", "Add")
        panel.says("2 keyframes")
        panel.set("Path", "Play / stop")
        places = [panel.wait_for("SetCameraPositionMessage")["position"][0] for _ in range(5)]
    assert places == sorted(places, reverse=True)
    assert 2.0 <= places[-1] < 3.0


def test_browsers_do_not_disturb_each_other(port: int) -> None:
    with Panel(port) as one, Panel(port) as other:
        one.open()
        other.open()
        one.set("Show", "opacity")
        one.until(shows_white)
        other.look(wxyz=LOOKING_AT_IT, position=(3.1, 0.0, 0.0))
        assert not shows_white(other.until(shows_the_ball))
