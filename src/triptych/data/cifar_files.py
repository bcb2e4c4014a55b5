"""The files of the CIFAR python archives: in a tar archive or in a folder unpacked from it."""

import gzip
import tarfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from triptych.workflow.errors import TriptychError

MAX_MEMBER_BYTES = 2**28  # CIFAR-100's training file has 155 MB; a larger member is no part of CIFAR


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

    Raises:
        TriptychError: neither archive's files are there, or both are, or some are missing.
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


def _member_name(path: Path, member: tarfile.TarInfo) -> str:
    """The member's name without `./`; names outside the archive's folder, links and devices are refused."""
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise TriptychError(
            f"{path} is refused: its member '{member.name}' escapes the archive; get it again"
        )
    if not (member.isfile() or member.isdir()):
        raise TriptychError(f"{path} is refused: its member '{member.name}' is no plain file; get it again")
    return str(name)


def read_archive(path: Path) -> tuple[Layout, dict[str, bytes]]:
    """Read a CIFAR python archive, compressed with gzip or not, to its very end; nothing is unpacked.

    Returns:
        Which archive it is, recognised by its members, and the contents by file name.

    Raises:
        TriptychError: not a tar archive, truncated, damaged, with members that escape or are links,
            or none of the CIFAR archives.
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
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    name = _member_name(path, member)
                    if name not in wanted or not member.isfile():
                        continue
                    if name in contents or member.size > MAX_MEMBER_BYTES:
                        problem = "comes twice" if name in contents else f"has {member.size} bytes"
                        raise TriptychError(f"{path} is refused: its member '{name}' {problem}; get it again")
                    opened = tar.extractfile(member)
                    contents[name] = opened.read() if opened else b""
                    if len(contents[name]) != member.size:
                        raise EOFError(f"'{name}' ends early")
            while stream.read(2**20):  # up to the checksum at the end of a gzip file
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TriptychError(
            f"{path} is truncated, damaged or no tar archive ({error}); get it again"
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
