"""The files of the CIFAR python archives: in a tar archive or in a folder unpacked from it."""

import gzip
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from triptych.workflow.errors import TriptychError, printable
from triptych.workflow.files import read_bytes

MAX_MEMBER_BYTES = 2**28  # CIFAR-100's training file has 155 MB; a larger member is no part of CIFAR
MAX_BYTES = 2**29  # unpacked; the official archives have 186 MB
MAX_MEMBERS = 1000  # the official archives have 9
PIECE = 2**20  # bytes read at once; a name or header of a tar archive is much shorter


@dataclass(frozen=True)
class Layout:
    """One of the two archives: its folder, its files, and the keys of its dictionaries."""

    kind: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    label_key: str
    names_key: str
    num_classes: int

    @property
    def files(self) -> tuple[str, ...]:
        """All file names that are read."""
        return (*self.train, self.test, self.meta)


CIFAR10 = Layout(
    kind="cifar10",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    label_key="labels",
    names_key="label_names",
    num_classes=10,
)
CIFAR100 = Layout(
    kind="cifar100",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    meta="meta",
    label_key="fine_labels",
    names_key="fine_label_names",
    num_classes=100,
)
LAYOUTS = (CIFAR10, CIFAR100)


def find_unpacked(path: Path) -> tuple[Layout, Path]:
    """Recognise an unpacked archive by its content, at `path` or in the official folder inside it.
    Raises `TriptychError` if neither archive's files are there, or both are, or some are missing.
    """
    found = [
        (layout, folder)
        for layout in LAYOUTS
        for folder in (path, path / layout.folder)
        if (folder / layout.meta).is_file()
    ]
    if len(found) != 1:
        what = " or ".join(f"{layout.folder}/{layout.meta}" for layout in LAYOUTS)
        problem = "holds both CIFAR archives" if found else "holds no unpacked CIFAR archive"
        raise TriptychError(f"{path} {problem}; give the folder that has {what}")
    layout, folder = found[0]
    missing = [name for name in layout.files if not (folder / name).is_file()]
    if missing:
        raise TriptychError(f"{folder} lacks {', '.join(missing)}; unpack the {layout.kind} archive again")
    return layout, folder


class _Bounded:
    """An unpacked archive, of which no more than `MAX_BYTES` are read and no more than `PIECE` at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.tell = stream.tell

    def seek(self, place: int) -> int:
        if place > MAX_BYTES:
            raise tarfile.ReadError(f"it has more than {MAX_BYTES >> 20} MiB")
        return self._stream.seek(place)

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= PIECE or self.tell() > MAX_BYTES:
            raise tarfile.ReadError(
                f"a header has {count} bytes, or all have more than {MAX_BYTES >> 20} MiB"
            )
        return self._stream.read(count)


def read_file(path: Path) -> bytes:
    """The content of an unpacked file. Raises `TriptychError` if it is too large to be a file of CIFAR."""
    try:
        return read_bytes(path, MAX_MEMBER_BYTES)
    except ValueError as error:
        raise TriptychError(f"{path}: {error}; get the official archive") from error


def _member_name(path: Path, member: tarfile.TarInfo) -> str:
    """The member's name without `./`; names outside the archive's folder, links and devices are refused."""
    name, shown = PurePosixPath(member.name.replace("\\", "/")), printable(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise TriptychError(f"{path} is refused: its member '{shown}' escapes the archive; get it again")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise TriptychError(f"{path} is refused: its member '{shown}' is no plain file; get it again")
    return str(name)


def read_archive(path: Path) -> tuple[Layout, dict[str, bytes]]:
    """Read a CIFAR python archive, compressed with gzip or not, to its very end; nothing is unpacked.

    Returns which archive it is, recognised by its members, and the contents by file name. Raises
    `TriptychError` if it is not a tar archive, damaged, with members that escape or are links, or no CIFAR
    archive.
    """
    wanted = {f"{layout.folder}/{name}" for layout in LAYOUTS for name in layout.files}
    contents: dict[str, bytes] = {}
    try:
        with ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(path.open("rb"))
            compressed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if compressed:
                stream = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))
            bounded = _Bounded(stream)
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
                for count, member in enumerate(tar):
                    if count >= MAX_MEMBERS:
                        raise tarfile.ReadError(f"it has more than {MAX_MEMBERS} members")
                    name = _member_name(path, member)
                    if name not in wanted or not member.isfile():
                        continue
                    if name in contents or member.size > MAX_MEMBER_BYTES:
                        problem = "comes twice" if name in contents else f"has {member.size} bytes"
                        raise TriptychError(f"{path} is refused: its member '{name}' {problem}; get it again")
                    opened = tar.extractfile(member)
                    contents[name] = b"".join(iter(partial(opened.read, PIECE), b"")) if opened else b""
                    if len(contents[name]) != member.size:
                        raise EOFError(f"'{name}' ends early")
            while bounded.read(PIECE):  # up to the checksum at the end of a gzip file
                pass
    except (TriptychError, MemoryError):
        raise
    except Exception as error:  # hostile bytes can raise anything at all
        reason = printable(str(error) or type(error).__name__)
        raise TriptychError(
            f"{path} is truncated, damaged or no tar archive ({reason}); get it again"
        ) from error
    for layout in LAYOUTS:
        files = {name: contents.get(f"{layout.folder}/{name}") for name in layout.files}
        missing = [name for name, content in files.items() if content is None]
        if len(missing) == len(files):
            continue
        if missing:
            raise TriptychError(f"{path} lacks {layout.folder}/{missing[0]}; get the archive again")
        return layout, {name: content for name, content in files.items() if content is not None}
    names = " or ".join(f"{layout.folder}/" for layout in LAYOUTS)
    raise TriptychError(f"{path} is no CIFAR python archive (nothing in {names}); see `path` in the config")
