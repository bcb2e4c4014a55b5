"""Which requests the viewer accepts, and what a browser may send it."""

import http.client
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ball_field import write_ball_results
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks._viewer_client import Client  # noqa: E402

from triptych.scenes.keyframes import read_camera_path  # noqa: E402
from triptych.view.access import MAX_SESSIONS, refusal  # noqa: E402
from triptych.view.rendering import full_size  # noqa: E402
from triptych.view.scene import read_trained_scene  # noqa: E402
from triptych.view.server import serve  # noqa: E402
from triptych.view.session import Options  # noqa: E402


@pytest.mark.parametrize(
    ("name", "listening"),
    [
        ("localhost:8080", "127.0.0.1"),
        ("LOCALHOST", "127.0.0.1"),
        ("127.0.0.1:9000", "127.0.0.1"),  # through ssh -L 9000:localhost:8080
        ("[::1]:8080", "::1"),
        ("192.168.0.7:8080", "0.0.0.0"),
        ("viewer.example.org", "viewer.example.org"),
        ("lab.example.org:8080", "127.0.0.1"),  # --allow-host
    ],
)
def test_names_of_this_machine_are_accepted_also_from_the_viewers_own_pages(
    name: str, listening: str
) -> None:
    for origin in (None, f"http://{name}", f"https://{name}"):
        headers = Headers({"Host": name} | ({"Origin": origin} if origin else {}))
        assert refusal(headers, host=listening, allowed=["lab.example.org"]) is None


@pytest.mark.parametrize(
    ("headers", "listening"),
    [
        ([("Host", "evil.example.org:8080")], "127.0.0.1"),  # DNS rebinding
        ([("Host", "evil.example.org:8080")], "0.0.0.0"),
        ([("Host", "192.168.0.7:8080")], "127.0.0.1"),
        ([("Host", "localhost.evil.example.org")], "127.0.0.1"),
        ([("Host", "localhost:8080"), ("Origin", "http://evil.example.org")], "127.0.0.1"),
        ([("Host", "localhost:8080"), ("Origin", "http://localhost:3000")], "127.0.0.1"),
        ([("Host", "localhost:8080"), ("Origin", "null")], "127.0.0.1"),
        ([("Host", "localhost:8080"), ("Origin", "http://[")], "127.0.0.1"),
        ([("Host", "localhost"), ("Host", "evil.example.org")], "127.0.0.1"),
        ([("Host", "evil.example.org@localhost")], "0.0.0.0"),
        ([("Host", "")], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_other_names_and_other_sites_are_refused(headers: list[tuple[str, str]], listening: str) -> None:
    if ("Host", "evil.example.org@localhost") in headers:
        headers = [*headers, ("Origin", "http://localhost")]
    assert refusal(Headers(headers), host=listening) is not None


@pytest.mark.parametrize("canvas", [(1, 10**9), (10**9, 1), (1, 1), (16_384, 16_384), (1440, 3200)])
def test_no_canvas_makes_a_picture_much_larger_than_the_widest(canvas: tuple[int, int]) -> None:
    width, height = full_size(canvas, 960)
    assert 1 <= width <= 960 and 1 <= height <= 4 * 960


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paths") / "ball.json"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, saved: Path) -> Iterator[int]:
    folder = write_ball_results(tmp_path_factory.mktemp("scenes") / "ball")
    scene = read_trained_scene(folder, device=torch.device("cpu"))
    options = Options(fps=10, min_side=16, max_width=64, camera_path=saved)
    server = serve(scene, host="127.0.0.1", port=0, options=options)
    yield server.get_port()
    server.stop()


def status(port: int, path: str = "/", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


def test_the_server_checks_pages_and_connections_alike(port: int) -> None:
    assert status(port) == 200
    assert status(port, Host="evil.example.org") == 403
    assert status(port, Origin="http://evil.example.org") == 403
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{port}", origin="http://evil.example.org")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/../../../etc/passwd", "/%2e%2e/%2e%2e/server.py", "/..%5c..%5cserver.py"])
def test_no_path_of_a_request_leads_out_of_the_page(port: int, path: str) -> None:
    assert status(port, path) == 404


def camera(**changes: Any) -> dict[str, Any]:
    values = {"wxyz": [1.0, 0, 0, 0], "position": [3.0, 0, 0], "fov": 0.8, "near": 0.01, "far": 1000.0}
    size = {"image_height": 48, "image_width": 64, "look_at": [0.0, 0, 0], "up_direction": [0.0, 0, 1]}
    return values | size | changes


ABSURD = [
    {"image_width": 10**6, "image_height": 10**15},
    {"image_width": 0, "image_height": -5},
    {"fov": math.nan},
    {"fov": 1e9},
    {"position": [math.nan, 0, 0]},
    {"position": [1e300, 0, 0]},
    {"position": [1, 2]},
    {"position": "here"},
    {"wxyz": [0, 0, 0, 0]},
    {"wxyz": [1e999, 0, 0, 0]},
    {"wxyz": [[1]]},
]


class Panel(Client):
    """A client that knows the elements of the panel by their labels."""

    def labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while "Path" not in found or "Seconds" not in found:
            for message in self.messages(30):
                if "container_uuid" in message:
                    found[message["props"].get("label") or message["type"]] = message["uuid"]
        return found

    def note(self, text: str) -> None:
        while text not in str(self.wait_for("GuiUpdateMessage", seconds=30)["updates"]):
            pass


def test_absurd_cameras_and_values_cost_neither_memory_nor_the_session(port: int) -> None:
    with Panel(port, canvas=(64, 48)) as panel:
        panel.send("ViewerCameraMessage", **camera())
        labels = panel.labels()
        for changes in ABSURD:
            panel.send("ViewerCameraMessage", **camera(**changes))
        for label, value in [
            ("Frames/s", math.nan),
            ("Frames/s", -1e300),
            ("View angle", math.inf),
            ("Show", "nothing"),
            ("z", [math.nan, math.inf]),
            ("x", []),
            ("Keyframes", "Explode"),
        ]:
            panel.send("GuiUpdateMessage", uuid=labels[label], updates={"value": value})
        panel.send("ShareUrlRequest")
        panel.send(
            "FileTransferStartUpload",
            source_component_uuid=labels["Path"],
            transfer_uuid="x",
            filename="x",
            mime_type="x",
            part_count=1,
            size_bytes=10**12,
        )
        panel.send("GuiUpdateMessage", uuid=labels["Show"], updates={"value": "opacity"})
        panel.send("ViewerCameraMessage", **camera())
        while panel.wait_for_picture(seconds=30)["depth_data"] is not None:
            pass


def test_a_path_that_could_not_be_read_again_is_not_saved(port: int, saved: Path) -> None:
    with Panel(port, canvas=(64, 48)) as panel:
        panel.send("ViewerCameraMessage", **camera())
        labels = panel.labels()
        for _ in range(2):  # at the same place
            panel.send("GuiUpdateMessage", uuid=labels["Keyframes"], updates={"value": "Add"})
        panel.note("2 keyframes")
        for action, seconds in (("Play / stop", 1e300), ("Save", 601.0)):
            panel.send("GuiUpdateMessage", uuid=labels["Seconds"], updates={"value": seconds})
            panel.send("GuiUpdateMessage", uuid=labels["Path"], updates={"value": action})
            panel.note(f"seconds is {seconds:g}; it must be between 0.05 and 600")
        assert not saved.exists()
        panel.send("GuiUpdateMessage", uuid=labels["Seconds"], updates={"value": 2.0})
        panel.send("GuiUpdateMessage", uuid=labels["Path"], updates={"value": "Save"})
        panel.note("saved to")
    assert read_camera_path(saved).seconds == 2
    saved.unlink()


def test_a_damaged_path_file_ends_no_session(port: int, saved: Path) -> None:
    saved.write_text("{}")
    with Panel(port, canvas=(64, 48)) as panel:
        panel.send("ViewerCameraMessage", **camera())
        panel.note("not a camera path")
        panel.wait_for_picture(seconds=30)
    saved.unlink()


def test_the_number_of_browsers_and_the_length_of_messages_are_bounded(port: int) -> None:
    clients = [Client(port) for _ in range(MAX_SESSIONS)]
    with pytest.raises(InvalidStatus, match="503"):
        Client(port)
    clients[0].send("ViewerCameraMessage", **camera(look_at=[0.0] * 10**5))
    with pytest.raises(ConnectionClosed):
        for _ in range(100):
            list(clients[0].messages(1))
    for client in clients:
        client.__exit__(None, None, None)
