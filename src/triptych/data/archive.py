"""Files out of a CIFAR tar archive, by their exact names and without unpacking anything."""

import gzip
import tarfile
import zlib
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, cast

from triptych.data.layouts import LAYOUTS, Layout
from triptych.workflow.errors import TriptychError

LARGEST_MEMBER = 2**28  # CIFAR-100's training file has 155 MB; a member beyond this is no CIFAR


def _check_member(path: Path, member: tarfile.TarInfo) -> str:
    """The member's name without `./`; refuse names that escape, links and devices."""
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise TriptychError(f"{path} is refused: its member '{member.name}' escapes the archive; get it anew")
    if not (member.isfile() or member.isdir()):
        raise TriptychError(f"{path} is refused: its member '{member.name}' is no plain file; get it anew")
    return str(name)


def read_archive(path: str | Path) -> tuple[Layout, dict[str, bytes]]:
    """Read a CIFAR python archive, compressed with gzip or not, to its very end.

    Returns:
        Which archive it is, recognised by its members, and the contents by file name.

    Raises:
        TriptychError: not a tar archive, truncated, damaged, with members that escape or are links,
            or none of the CIFAR archives.
    """
    path = Path(path)
    wanted = {f"{layout.folder}/{name}": (layout, name) for layout in LAYOUTS for name in layout.files}
    contents: dict[str, dict[str, bytes]] = {}
    try:
        with ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(path.open("rb"))
            compressed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if compressed:
                stream = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    name = _check_member(path, member)
                    if name not in wanted or not member.isfile():
                        continue
                    layout, file = wanted[name]
                    found = contents.setdefault(layout.kind, {})
                    if file in found or member.size > LARGEST_MEMBER:
                        problem = "comes twice" if file in found else f"has {member.size} bytes"
                        raise TriptychError(f"{path} is refused: its member '{name}' {problem}; get it anew")
                    opened = tar.extractfile(member)
                    found[file] = opened.read() if opened else b""
                    if len(found[file]) != member.size:
                        raise EOFError(f"'{name}' ends early")
            while stream.read(2**20):  # up to the checksum at the end of a gzip file
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TriptychError(
            f"{path} is truncated, damaged or no tar archive ({error}); get it anew"
        ) from error
    for layout in LAYOUTS:
        if layout.kind in contents:
            missing = [name for name in layout.files if name not in contents[layout.kind]]
            if missing:
                raise TriptychError(f"{path} lacks {layout.folder}/{missing[0]}; get the archive anew")
            return layout, contents[layout.kind]
    names = " or ".join(f"{layout.folder}/" for layout in LAYOUTS)
    raise TriptychError(f"{path} is no CIFAR python archive (nothing in {names}); see `path` in the config")
