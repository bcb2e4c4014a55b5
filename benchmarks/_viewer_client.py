"""A client of the viewer's server, without a browser.

Messages to the server are MessagePack maps with a `type`. Those from the server come in windows:
sizes of the unpacked and of the packed text (8 bytes each, little-endian), a MessagePack map packed
by Zstandard with the `messages`, then arrays, which are not read here.
"""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
import viser
import zstandard
from websockets.sync.client import connect

Message = dict[str, Any]

PICTURE = "BackgroundImageMessage"


class Client:
    """One connection to the viewer.

    Example:
        with Client(port) as client:
            client.look(wxyz=(1, 0, 0, 0), position=(0, 0, 0))
            jpeg = client.wait_for_picture()["rgb_data"]
    """

    def __init__(self, port: int, *, canvas: tuple[int, int] = (160, 120), fov: float = 0.8) -> None:
        self.canvas, self.fov = canvas, fov
        self._socket = connect(
            f"ws://127.0.0.1:{port}",
            subprotocols=[f"viser-v{viser.__version__}"],  # type: ignore[list-item]
            max_size=None,
            compression=None,
        )
        self._unpack = zstandard.ZstdDecompressor()
        self._waiting: list[Message] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, kind: str, **values: Any) -> None:
        """Send one message."""
        self._socket.send(msgspec.msgpack.encode({"type": kind, **values}))

    def look(self, *, wxyz: Any, position: Any) -> None:
        """Say where the browser's camera stands (camera-to-world quaternion, OpenCV axes)."""
        width, height = self.canvas
        self.send(
            "ViewerCameraMessage",
            wxyz=np.asarray(wxyz, dtype=float).tolist(),
            position=np.asarray(position, dtype=float).tolist(),
            fov=self.fov,
            near=0.01,
            far=1000.0,
            image_height=height,
            image_width=width,
            look_at=[0.0, 0.0, 0.0],
            up_direction=[0.0, 0.0, 1.0],
        )

    def messages(self, timeout: float) -> Iterator[Message]:
        """All messages of the next window; none if there is no window in time."""
        try:
            window = self._socket.recv(timeout=timeout)
        except TimeoutError:
            return
        assert isinstance(window, bytes)
        size = int.from_bytes(window[8:16], "little")
        yield from msgspec.msgpack.decode(self._unpack.decompress(window[16 : 16 + size]))["messages"]

    def wait_for(self, kind: str, *, seconds: float = 60, **values: Any) -> Message:
        """The next message of a kind with these values; what comes before it is skipped.
        Raises `TimeoutError` if it does not come.
        """
        deadline = time.monotonic() + seconds
        while True:
            while self._waiting:
                message = self._waiting.pop(0)
                if message["type"] == kind and all(
                    message.get(key) == value for key, value in values.items()
                ):
                    return message
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {kind} {values}")
            self._waiting = list(self.messages(1.0))

    def wait_for_picture(self, *, seconds: float = 60) -> Message:
        """The next picture; the message that there is none as yet is skipped."""
        while True:
            message = self.wait_for(PICTURE, seconds=seconds)
            if message["rgb_data"] is not None:
                return message
