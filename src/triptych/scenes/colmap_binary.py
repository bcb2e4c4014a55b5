"""Reading of COLMAP models that may be damaged: COLMAP does not notice that a binary file is cut short."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pycolmap

PARTS = ("cameras", "images", "points3D")


class _Reader:
    """A binary file, whose end is an error."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.stream, self.size = stream, size

    def numbers(self, layout: str) -> tuple[int, ...]:
        data = self.stream.read(struct.calcsize(f"<{layout}"))
        if len(data) < struct.calcsize(f"<{layout}"):
            raise ValueError("it is cut short")
        return struct.unpack(f"<{layout}", data)

    def skip(self, count: int) -> None:
        if self.stream.tell() + count > self.size:
            raise ValueError("it is cut short")
        self.stream.seek(count, os.SEEK_CUR)

    def skip_text(self) -> None:
        while self.numbers("B") != (0,):
            pass


def _camera(reader: _Reader) -> None:
    _, model, _, _ = reader.numbers("iiQQ")
    known = [int(one) for one in pycolmap.CameraModelId.__members__.values()]
    if model < 0 or model not in known:
        raise ValueError(f"there is no lens model {model}")
    camera = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(model), 1, 1, 1)
    reader.skip(8 * len(camera.params))


def _image(reader: _Reader) -> None:
    reader.skip(4 + 7 * 8 + 4)  # id, rotation and position, camera
    reader.skip_text()
    reader.skip(24 * reader.numbers("Q")[0])  # x, y and a point's id each


def _point(reader: _Reader) -> None:
    reader.skip(8 + 3 * 8 + 3 + 8)  # id, position, colour, error
    reader.skip(8 * reader.numbers("Q")[0])  # an image's id and a number each


ENTRIES: dict[str, Callable[[_Reader], None]] = {"cameras": _camera, "images": _image, "points3D": _point}


def _check_length(file: Path) -> None:
    """Raise `ValueError` unless a binary file has as many entries as it says."""
    with file.open("rb") as stream:
        reader = _Reader(stream, file.stat().st_size)
        try:
            for _ in range(reader.numbers("Q")[0]):
                ENTRIES[file.stem](reader)
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from error


def read_model(folder: Path) -> pycolmap.Reconstruction:
    """Read a model; of COLMAP's two formats, the binary one if there are both. Points may be missing.
    Raises `ValueError` if a file is damaged. COLMAP raises other exceptions, too.
    """
    suffix = ".bin" if (folder / "cameras.bin").is_file() else ".txt"
    # without the files on rigs, which say nothing about a single image
    with TemporaryDirectory() as temporary:
        for part in PARTS:
            file = (folder / f"{part}{suffix}").absolute()
            if part == "points3D" and not file.is_file():
                (Path(temporary) / file.name).write_bytes(bytes(8) if suffix == ".bin" else b"")
                continue
            if suffix == ".bin":
                _check_length(file)
            (Path(temporary) / file.name).symlink_to(file)
        return pycolmap.Reconstruction(temporary)
