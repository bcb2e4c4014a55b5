"""Who may connect to the viewer: pages that it served itself, under names that are this machine's.

Any web site that is open in the browser can connect to a server on the same machine. The browser says by
`Origin` which site that is, and by `Host` under which name it found the server. A site can give a name of
its own the address of this machine (DNS rebinding), so names are checked, too.
"""

import http
import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

MAX_SESSIONS = 16  # browsers at the same time
MAX_MESSAGE = 2**16  # bytes; cameras and values of the panel take hundreds

Check = Callable[[ServerConnection, Request], Response | None]


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_own_name(name: str, *, host: str, allowed: Sequence[str] = ()) -> bool:
    """Whether a browser may know the viewer by this name: the machine's own, or one of those `allowed`.

    Unless `host`, on which the viewer listens, is this machine's own, it may also be any IP address, which no
    site can give away, or this machine's host name.
    """
    name = name.lower().rstrip(".")
    if _is_loopback(name) or name in map(str.lower, allowed):
        return True
    return not _is_loopback(host) and (
        _is_address(name) or name in (host.lower(), socket.gethostname().lower(), socket.getfqdn().lower())
    )


def refusal(headers: Any, *, host: str, allowed: Sequence[str] = ()) -> str | None:
    """Why a request is refused, by its `Host` and `Origin` headers; None: it is not."""
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    try:
        name = urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 else None
        foreign = any(urlsplit(origin).netloc.lower() != hosts[0].lower() for origin in origins)
    except (ValueError, IndexError):
        name, foreign = None, True
    if name is None or not is_own_name(name, host=host, allowed=allowed):
        return (
            "This viewer is not known by that name. Open it as localhost, or start it with --allow-host NAME."
        )
    return "Another web site has tried to connect to the viewer." if foreign else None


@contextmanager
def checked_requests(*, host: str, allowed: Sequence[str] = ()) -> Iterator[None]:
    """Within it, a server of websockets is started with these checks, for which viser has no argument."""
    serve = websockets.asyncio.server.serve

    def respond(connection: ServerConnection, request: Request) -> Response | None:
        if reason := refusal(request.headers, host=host, allowed=allowed):
            return connection.respond(http.HTTPStatus.FORBIDDEN, f"{reason}\n")
        if "Upgrade" in request.headers and len(connection.server.connections) >= MAX_SESSIONS:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Too many browsers are here.\n")
        return None

    def serve_checked(*arguments: Any, process_request: Check, **options: Any) -> Any:
        def check(connection: ServerConnection, request: Request) -> Response | None:
            return respond(connection, request) or process_request(connection, request)

        return serve(*arguments, process_request=check, **options | {"max_size": MAX_MESSAGE})

    websockets.asyncio.server.serve = serve_checked  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve  # type: ignore[misc]
