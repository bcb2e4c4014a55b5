"""Archives that escape their folder or take more than their size says are refused."""

import gzip
import io
import os
import tarfile

import pytest
from data_archives import BATCHES, member_bytes, random_batches, write_tar, write_unpacked

from triptych.data.cifar import read_cifar
from triptych.workflow.errors import TriptychError


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", f"{BATCHES}/../../evil", "..\\evil", f"./{BATCHES}/../../../evil"]
)
def test_a_member_that_escapes_is_refused_and_nothing_is_written(tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = write_tar(folder / "a.tar.gz", {name: b"x", **member_bytes(random_batches())})
    with pytest.raises(TriptychError, match="escapes the archive"):
        read_cifar(path)
    assert [item.name for item in tmp_path.rglob("*")] == ["inner", "a.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    info = tarfile.TarInfo(f"{BATCHES}/data_batch_1")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(TriptychError, match="no plain file"):
        read_cifar(write_tar(tmp_path / "a.tar.gz", member_bytes(random_batches()), info))


def odd_member(name="x", size=0, kind=tarfile.REGTYPE, **headers):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.pax_headers = size, kind, headers
    return info


def hostile_archive(tmp_path, name):
    """An archive that takes far more memory or time than its size says."""
    path = tmp_path / "a.tar.gz"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        if name == "no members":
            pass
        elif name == "many members":
            for number in range(1001):
                tar.addfile(odd_member(str(number)))
        elif name == "a sparse file":
            sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}
            tar.addfile(
                odd_member(size=512, **sparse, **{"GNU.sparse.realsize": "9" * 15}), io.BytesIO(b"0\n" * 256)
            )
        elif name == "a long name":
            tar.fileobj.write(odd_member(size=2**22, kind=tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT))
            tar.fileobj.write(bytes(2**22))
        elif name == "a huge member":
            tar.fileobj.write(odd_member(size=2**40).tobuf(tarfile.GNU_FORMAT))
        elif name == "a negative size":
            tar.fileobj.write(odd_member(size=-1024).tobuf(tarfile.GNU_FORMAT))
        elif name == "long names without end":
            for _ in range(2000):
                tar.fileobj.write(odd_member(size=1, kind=tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT))
                tar.fileobj.write(bytes(512))
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(content.getvalue())
        if name == "trailing zeros":
            for _ in range(20):
                stream.write(bytes(2**20))
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("no members", "many members", "a sparse file", "a long name", "a huge member", "a negative size"),
        *("long names without end", "trailing zeros"),
    ],
)
def test_an_archive_out_of_bounds_is_refused_in_one_line(tmp_path, name, monkeypatch):
    monkeypatch.setattr("triptych.data.cifar_files.MAX_BYTES", 2**24)
    path = hostile_archive(tmp_path, name)
    with pytest.raises(TriptychError) as caught:
        read_cifar(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_odd_names_of_members_stay_in_one_line(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", {"../a\nb\x1b[2J" + 500 * "c": b"x"})
    with pytest.raises(TriptychError, match="escapes") as caught:
        read_cifar(path)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value) and len(str(caught.value)) < 500


def test_an_unpacked_file_that_is_too_large_is_refused(tmp_path):
    folder = write_unpacked(tmp_path, member_bytes(random_batches()))
    os.truncate(folder / BATCHES / "data_batch_1", 2**40)  # takes no space
    with pytest.raises(TriptychError, match="data_batch_1: it is larger than 256 MiB"):
        read_cifar(folder)
