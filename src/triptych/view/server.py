"""The viewer's web server: one page, and a session for each browser that opens it."""

import contextlib
import io
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import viser
from viser._messages import FileTransferPart, FileTransferStartUpload, ShareUrlRequest

from triptych.view.access import checked_requests
from triptych.view.camera import Look, ViewCamera
from triptych.view.rendering import PixelCost, RenderQueue, distance_ahead, distance_to_surface, full_size
from triptych.view.scene import TrainedScene
from triptych.view.session import Options, Session
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

WARM_UP = 96  # pixels: width of the picture that is rendered before the server starts


def check_address(host: str, port: int) -> None:
    """Raise `TriptychError` if the address cannot be used; viser itself would use another port."""
    if not 0 <= port <= 65535:
        raise TriptychError(f"--port {port}: ports go from 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise TriptychError(
            f"--host {host}: there is no such address; leave it out, or use 0.0.0.0"
        ) from error
    except OSError as error:
        raise TriptychError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another "
            "(--port; PORT= with make view)"
        ) from error


def measure_pixel_cost(scene: TrainedScene, queue: RenderQueue) -> PixelCost:
    """The cost of a pixel of the first camera's view, once everything is compiled and loaded."""
    view = ViewCamera.of_scene(scene.cameras, 0)
    width, height = full_size(view.canvas, WARM_UP)
    rays = view.rays((width, height), (0, height), scene.radiance.background.device)
    for _ in range(2):
        began = time.perf_counter()
        queue(scene.radiance, rays, width)
        seconds = time.perf_counter() - began
    return PixelCost(seconds / (width * height))


def first_look(scene: TrainedScene, queue: RenderQueue) -> Look:
    """From the first camera at the scene's middle; if that is behind, at the surface straight ahead."""
    first, middle = ViewCamera.of_scene(scene.cameras, 0), scene.middle
    behind = not distance_ahead(first, middle)
    distance = distance_to_surface(scene.radiance, queue, first) if behind else 1.0
    look = replace(Look.along(first, scene.world, distance=distance), up=np.array([0.0, 0.0, 1.0]))
    return look if behind else replace(look, target=scene.world.from_cube(middle))


def serve(
    scene: TrainedScene, *, host: str, port: int, options: Options, allowed: Sequence[str] = ()
) -> viser.ViserServer:
    """Start the server in background threads; `stop()` on the result ends it.

    Port 0 is any free one; for `allowed` see `access.is_own_name`. Raises `TriptychError` if the address
    cannot be used.
    """
    check_address(host, port)
    queue = RenderQueue()
    cost = measure_pixel_cost(scene, queue)
    home = first_look(scene, queue)
    # viser prints its address, the caller prints ours
    with contextlib.redirect_stdout(io.StringIO()), checked_requests(host=host, allowed=allowed):
        server = viser.ViserServer(host=host, port=port, label=scene.name, verbose=False)
    # What a browser could do, and this viewer has no use for: publish it on the internet, send files.
    server._websock_server.unregister_handler(ShareUrlRequest)
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    server.scene.set_up_direction("+z")
    server.initial_camera.position = home.position
    server.initial_camera.look_at = home.target
    server.initial_camera.fov = home.fov
    sessions: dict[int, Session] = {}

    @server.on_client_connect
    def _(client: viser.ClientHandle) -> None:
        for message in (FileTransferStartUpload, FileTransferPart):
            client._websock_connection.unregister_handler(message)
        session = Session(client, scene, queue, home=home, cost=replace(cost), options=options)
        sessions[client.client_id] = session
        if client.client_id not in server.get_clients():  # disconnected meanwhile
            session.close()
        log.info("viewer: browser %d connected", client.client_id)

    @server.on_client_disconnect
    def _(client: viser.ClientHandle) -> None:
        if (session := sessions.pop(client.client_id, None)) is not None:
            session.close()
        log.info("viewer: browser %d left", client.client_id)

    return server
