"""CIFAR archives: what is read, and what is refused."""

import hashlib
import importlib.util
import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from data_archives import BATCHES, member_bytes, random_batches, write_tar, write_unpacked

from triptych.data.cifar import read_cifar
from triptych.data.pickles import load_pickled_dict
from triptych.workflow.errors import TriptychError

SHARED = Path(__file__).resolve().parents[3] / "shared/data/cifar"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_an_archive_gives_its_images_labels_and_classes(tmp_path, protocol, mode):
    batches = random_batches()
    images = read_cifar(write_tar(tmp_path / "a.tar.gz", member_bytes(batches, protocol), mode=mode))
    assert images.train_images.shape == (100, 32, 32, 3) and images.test_images.shape == (20, 32, 32, 3)
    rows = np.concatenate([batches[f"data_batch_{number}"][b"data"] for number in range(1, 6)])
    # in a row the red plane comes first, each plane line by line
    assert np.array_equal(images.train_images[:, 3, 5, 1], rows[:, 1024 + 3 * 32 + 5])
    assert np.array_equal(images.train_images[..., 2].reshape(100, -1), rows[:, 2048:])
    assert images.train_labels.tolist() == [index % 10 for index in range(20)] * 5
    assert images.classes[3] == "class 3"


def test_folder_parent_folder_and_archive_agree(tmp_path):
    members = member_bytes(random_batches())
    packed = read_cifar(write_tar(tmp_path / "a.tar.gz", members))
    write_unpacked(tmp_path / "unpacked", members)
    for path in (tmp_path / "unpacked", tmp_path / "unpacked" / BATCHES):
        unpacked = read_cifar(path)
        assert np.array_equal(unpacked.train_images, packed.train_images)
        assert np.array_equal(unpacked.test_labels, packed.test_labels)


def test_hashes_are_recorded_and_enforced(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", member_bytes(random_batches()))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_cifar(path, hashes={"sha256": sha256.upper()}).source["sha256"] == sha256
    with pytest.raises(TriptychError, match=f"wrong sha256: expected {'0' * 64}, got {sha256}"):
        read_cifar(path, hashes={"sha256": "0" * 64})


def test_the_kind_must_be_the_expected_one(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", member_bytes(random_batches()))
    assert read_cifar(path, expect="cifar10").source["kind"] == "cifar10"
    with pytest.raises(TriptychError, match="holds cifar10, not cifar100"):
        read_cifar(path, expect="cifar100")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_archive_is_refused(tmp_path, share):
    path = write_tar(tmp_path / "a.tar.gz", member_bytes(random_batches()))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TriptychError, match="truncated, damaged or no tar archive"):
        read_cifar(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", member_bytes(random_batches()))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(TriptychError):
        read_cifar(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x1f\x8b" + bytes(100), bytes(1024)])
def test_something_else_than_an_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(TriptychError, match=r"a\.tar\.gz is"):
        read_cifar(path)


def test_a_missing_member_is_named(tmp_path):
    members = member_bytes(random_batches())
    del members[f"{BATCHES}/data_batch_3"]
    with pytest.raises(TriptychError, match="lacks cifar-10-batches-py/data_batch_3"):
        read_cifar(write_tar(tmp_path / "a.tar.gz", members))
    with pytest.raises(TriptychError, match="lacks data_batch_3"):
        read_cifar(write_unpacked(tmp_path, members))


def test_another_archive_is_recognised_as_such(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", {"imagenet/n01440764": b"x"})
    with pytest.raises(TriptychError, match="no CIFAR python archive"):
        read_cifar(path)
    with pytest.raises(TriptychError, match="holds no unpacked CIFAR archive"):
        read_cifar(tmp_path)
    with pytest.raises(TriptychError, match="does not exist"):
        read_cifar(tmp_path / "nowhere")


def with_change(**changes):
    batches = random_batches()
    batches["data_batch_2"].update({key.encode(): value for key, value in changes.items()})
    return member_bytes(batches)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": np.zeros((20, 100), np.uint8)}, "no images of 32x32"),
        ({"data": np.zeros((20, 3072), np.float32)}, "not a CIFAR batch file"),
        ({"data": None}, "no images of 32x32"),
        ({"labels": [0] * 19}, "no 'labels'"),
        ({"labels": [10] * 20}, "labels outside"),
        ({"labels": ["0"] * 20}, "labels outside"),
    ],
)
def test_contents_that_make_no_sense_are_refused_by_file(tmp_path, change, words):
    with pytest.raises(TriptychError, match=f"data_batch_2.*{words}"):
        read_cifar(write_tar(tmp_path / "a.tar.gz", with_change(**change)))


def cifar100(without=None, **changes):
    """A CIFAR-100 of one image a class and part, as archive members; `changes` to its training images."""
    fine = list(range(100))
    images = {b"data": np.zeros((100, 3072), np.uint8), b"fine_labels": fine}
    images[b"coarse_labels"] = [label * 7 % 20 for label in fine]
    batches = {
        "train": images | {key.encode(): value for key, value in changes.items()},
        "test": images,
        "meta": {
            b"fine_label_names": [f"class {label}".encode() for label in fine],
            b"coarse_label_names": [f"group {group}".encode() for group in range(20)],
        },
    }
    for batch in batches.values():
        batch.pop(without, None)
    return {f"cifar-100-python/{name}": pickle.dumps(batch) for name, batch in batches.items()}


def test_the_superclass_of_each_class_comes_from_the_two_labels_of_its_images(tmp_path):
    groups = read_cifar(write_tar(tmp_path / "a.tar.gz", cifar100())).superclasses
    assert groups.names[:2] == ("group 0", "group 1") and len(groups.names) == 20
    assert groups.of_class == tuple(label * 7 % 20 for label in range(100))


def test_an_archive_without_superclasses_has_none(tmp_path):
    assert read_cifar(write_tar(tmp_path / "10.tar.gz", member_bytes(random_batches()))).superclasses is None
    for key in (b"coarse_label_names", b"coarse_labels"):
        assert read_cifar(write_tar(tmp_path / "a.tar.gz", cifar100(without=key))).superclasses is None


@pytest.mark.parametrize("wrong", [19, 20, -1, "x", [1]])
def test_a_class_of_two_superclasses_or_an_unknown_one_is_refused(tmp_path, wrong):
    labels = [label * 7 % 20 for label in range(99)] + [wrong]
    with pytest.raises(TriptychError, match="class 99 has no single superclass"):
        read_cifar(write_tar(tmp_path / "a.tar.gz", cifar100(coarse_labels=labels)))


def unpacker():
    """The reference writer of the official layout with real images, if it is there."""
    if not (SHARED / "unpack.py").is_file():
        pytest.skip(f"the real CIFAR images are not at {SHARED}")
    spec = importlib.util.spec_from_file_location("unpack", SHARED / "unpack.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["unpack"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cifar-10", "cifar-100"])
def test_real_images_in_the_official_layout(tmp_path, name):
    unpack = unpacker()
    options = ["--train", "500", "--test", "100"]
    unpack.main([name, str(tmp_path), *options])
    unpack.main([name, str(tmp_path), *options, "--tar"])
    expected, rows = unpack.read_split(name, "train", 500)
    for path in (tmp_path, tmp_path / f"{name}-python.tar.gz"):
        images = read_cifar(path, expect=name.replace("-", ""))
        assert np.array_equal(images.train_images, expected)
        assert images.train_labels.tolist() == [label for label, _, _ in rows]
        assert [images.classes[label] for label in images.train_labels] == [row[1] for row in rows]
        assert images.test_images.shape == (100, 32, 32, 3)
        if name == "cifar-100":
            groups = images.superclasses
            assert groups.of_class == tuple(unpack.COARSE_OF_CLASS[cls] for cls in images.classes)
            assert groups.names[groups.of_class[images.classes.index("bicycle")]] == "vehicles_1"
    # the reference pickle, read by Python's own unpickler as the official files are
    meta = next(tmp_path.glob("*/*meta"))
    plain = pickle.load(io.BytesIO(meta.read_bytes()), encoding="latin1")
    assert load_pickled_dict(meta.read_bytes(), "meta") == plain
