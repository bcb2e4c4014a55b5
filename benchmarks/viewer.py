"""How many pictures a second does the viewer show while the camera moves?

The server runs in its own process. A websocket client stands in for the browser, with a canvas of
540 x 960. It sends cameras along the scene's path, 50 a second as a browser does, and counts the pictures
that arrive. The time includes rendering, JPEG and the connection, but not drawing in the browser. Pictures
are at least 135 pixels wide.

- `viewer_fps`: pictures that arrive a second, while moving.
- `viewer_short_side`: mean short side of these in pixels.
- `viewer_delay_ms`: median time from sending a camera at rest to its first picture.

The environment variable SCENE names the scene: results/scenes/$SCENE, by default orbit.
"""

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from benchmarks._viewer_client import PICTURE, Client
from triptych.scenes.camera_path import camera_path
from triptych.view.scene import TrainedScene, read_trained_scene

CANVAS, SHORTEST = (540, 960), 135
SECONDS, CAMERAS_PER_SECOND = 20.0, 50

Poses = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _poses(scene: TrainedScene) -> Poses:
    """Quaternions and world positions along the photographs."""
    frames = round(SECONDS * CAMERAS_PER_SECOND)
    cameras = camera_path(scene.cameras, frames=frames, seconds=SECONDS, width=2)
    rotations = Rotation.from_matrix(cameras.rotation.double().numpy()).as_quat(scalar_first=True)
    return list(zip(rotations, scene.world.from_cube(cameras.position.double().numpy()), strict=True))


def _delay(client: Client, pose: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    """Seconds until a camera's first picture, when nothing else is going on."""
    while any(True for _ in client.messages(timeout=2.0)):  # let it become sharp
        pass
    began = time.perf_counter()
    client.look(wxyz=pose[0], position=pose[1])
    client.wait_for_picture()
    return time.perf_counter() - began


def _move(client: Client, poses: Poses) -> tuple[float, float]:
    """Pictures a second and their mean short side, while the camera moves along `poses`."""
    began, sent = time.perf_counter(), 0
    sides: list[int] = []
    while (now := time.perf_counter() - began) < SECONDS:
        if now * CAMERAS_PER_SECOND >= sent:
            rotation, position = poses[min(len(poses) - 1, sent)]
            client.look(wxyz=rotation, position=position)
            sent += 1
        sides += [
            min(Image.open(io.BytesIO(message["rgb_data"])).size)
            for message in client.messages(timeout=0.5 / CAMERAS_PER_SECOND)
            if message["type"] == PICTURE
        ]
    return len(sides) / SECONDS, float(np.mean(sides))


def measure() -> dict[str, float]:
    """Start the server, move, and count."""
    folder = Path("results/scenes") / os.environ.get("SCENE", "orbit")
    poses = _poses(read_trained_scene(folder, device=torch.device("cpu")))
    options = ["--port", "0", "--min-side", str(SHORTEST), "--fps", "30"]
    command = [sys.executable, "-m", "triptych.view", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://[^:]+:(\d+)", server.stdout.readline())
            if address is None:
                raise RuntimeError("the viewer did not start")
            with Client(int(address[1]), canvas=CANVAS) as client:
                client.look(wxyz=poses[0][0], position=poses[0][1])
                client.wait_for_picture()
                _move(client, poses[: len(poses) // 10])  # until it knows its pace
                delays = [_delay(client, pose) for pose in poses[:: len(poses) // 5]]
                rate, side = _move(client, poses)
        finally:
            server.terminate()
    return {"viewer_fps": rate, "viewer_short_side": side, "viewer_delay_ms": 1000 * median(delays)}
