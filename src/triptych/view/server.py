"""The viewer's web server: one page, and a session for each browser that opens it."""

import contextlib
import io
import logging
import socket
import time

import viser

from triptych.view.resolution import full_size
from triptych.view.session import Options, Session
from triptych.view.stance import distance_ahead, viewpoint_at
from triptych.view.subject import Subject
from triptych.view.worker import Renderer
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

WARM_UP = 96  # pixels: width of the picture that is rendered before anyone looks


def check_address(host: str, port: int) -> None:
    """Raise `TriptychError` where nothing can listen; viser itself would move on to another port."""
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


def seconds_per_pixel(subject: Subject, renderer: Renderer) -> float:
    """What a pixel of the first camera's view costs, once everything is compiled and loaded."""
    view = viewpoint_at(subject.scene.cameras, 0)
    width, height = full_size(view.canvas, WARM_UP)
    for _ in range(2):
        began = time.perf_counter()
        rays = view.rays((width, height), (0, height), subject.field.background.device)
        renderer(subject.field, *rays, width)
        seconds = time.perf_counter() - began
    return seconds / (width * height)


def serve(subject: Subject, *, host: str, port: int, options: Options) -> viser.ViserServer:
    """Start serving in threads of its own; `stop()` on the result ends it.

    Args:
        subject: what to show.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        options: see `Options`.

    Raises:
        TriptychError: the address cannot be used.
    """
    check_address(host, port)
    renderer = Renderer()
    cost = seconds_per_pixel(subject, renderer)
    first = viewpoint_at(subject.scene.cameras, 0)
    distance = distance_ahead(subject.field, renderer, first, subject.world.offset)
    with contextlib.redirect_stdout(io.StringIO()):  # it announces itself; the caller does that
        server = viser.ViserServer(host=host, port=port, label=subject.name, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    server.scene.set_up_direction("+z")
    position = subject.world.from_cube(first.position)
    server.initial_camera.position = position
    server.initial_camera.look_at = position + first.rotation[:, 2] * distance / subject.world.scale
    server.initial_camera.fov = first.fov
    sessions: dict[int, Session] = {}

    @server.on_client_connect
    def _(client: viser.ClientHandle) -> None:
        session = Session(client, subject, renderer, seconds_per_pixel=cost, options=options)
        sessions[client.client_id] = session
        if client.client_id not in server.get_clients():  # gone again meanwhile
            session.close()
        log.info("viewer: browser %d connected", client.client_id)

    @server.on_client_disconnect
    def _(client: viser.ClientHandle) -> None:
        if (session := sessions.pop(client.client_id, None)) is not None:
            session.close()
        log.info("viewer: browser %d left", client.client_id)

    return server
