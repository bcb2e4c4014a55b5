"""What a config says about data sets, before anything runs."""

import pytest
from data_archives import BATCHES, member_bytes, random_batches, write_unpacked

from triptych.data.sources import (
    OFFICIAL,
    archive_files,
    check_dataset,
    dataset_recipe,
    download_of,
    downloads,
)
from triptych.workflow.errors import TriptychError

OWN = "AB" * 32


def test_official_archives_have_the_published_hashes():
    assert OFFICIAL["cifar10"].hashes["md5"] == "c58f30108f718f92721af3b95e74349a"
    assert OFFICIAL["cifar100"].hashes["md5"] == "eb9058c3a382ffc7106e4002c42a8d85"
    for name, archive in OFFICIAL.items():
        assert len(archive.hashes["sha256"]) == 64
        assert all(url.endswith(archive.file) and url.startswith("https://") for url in archive.mirrors)
        assert any("cs.toronto.edu/~kriz" in url for url in archive.mirrors), name


def test_mirrors_are_no_part_of_the_recipe_but_hashes_are():
    plain = {"source": "cifar10", "mirrors": None, "sha256": None}
    assert dataset_recipe(plain) == dataset_recipe(plain | {"mirrors": ["http://here/x"]})
    assert dataset_recipe(plain) != dataset_recipe(plain | {"sha256": OWN})


def test_ones_own_hash_replaces_both_official_ones_and_names_the_file():
    found = downloads({"a": {"source": "cifar10", "sha256": OWN}, "b": {"source": "cifar10"}})
    assert found["cifar-10-python-abababababab.tar.gz"].hashes == {"sha256": OWN.lower()}
    assert set(found["cifar-10-python.tar.gz"].hashes) == {"sha256", "md5"}


def test_data_sets_of_one_archive_share_its_download_and_their_mirrors():
    found = downloads(
        {
            "a": {"source": "cifar10", "mirrors": ["http://one/x", "http://two/x"]},
            "b": {"source": "cifar10", "mirrors": ["http://two/x", "http://three/x"], "train_size": 5},
            "c": {"source": "shapes"},
        }
    )
    assert list(found) == [download_of({"source": "cifar10"}).file]
    assert found["cifar-10-python.tar.gz"].mirrors == ("http://one/x", "http://two/x", "http://three/x")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "folder"}, "source folder needs a `path`"),
        ({"source": "archive", "path": "nowhere/x.tar.gz"}, "nowhere/x.tar.gz does not exist"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, words):
    with pytest.raises(TriptychError, match=f"config: datasets.mine: {words}"):
        check_dataset("mine", settings)


def test_paths_must_hold_what_the_source_needs(tmp_path):
    with pytest.raises(TriptychError, match="no unpacked CIFAR archive"):
        check_dataset("mine", {"source": "archive", "path": str(tmp_path)})
    write_unpacked(tmp_path, member_bytes(random_batches()))
    settings = {"source": "archive", "path": str(tmp_path)}
    check_dataset("mine", settings)
    assert len(archive_files(settings)) == 7
    assert all(file.startswith(str(tmp_path / BATCHES)) for file in archive_files(settings))
    with pytest.raises(TriptychError, match="sha256 and md5 are for an archive file"):
        check_dataset("mine", settings | {"sha256": OWN})


def test_what_needs_no_path_needs_nothing():
    check_dataset("mine", {"source": "shapes", "train": 20})
    check_dataset("mine", {"source": "cifar100", "train_size": 20})
