"""A run works, or says in one line why not, whatever the machine is like."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Study

TARGET = "results/data/shapes/digest.txt"


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the project's, usually."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "note"),
    [
        ({"LANG": "C", "LC_ALL": "C"}, ""),
        ({"HOME": "/dev/null"}, "/dev/null/.cache cannot be written; caches are kept in"),
        ({"TMPDIR": "/dev/null"}, "/dev/null: Not a directory; temporary files are kept in /tmp"),
    ],
)
def test_a_study_in_a_folder_of_any_name_and_file_system_runs_without_home_locale_and_tmpdir(
    checkout: Study, elsewhere: Path, environment: dict[str, str], note: str
) -> None:
    study = Study(checkout.folder)
    study.environment = environment
    folder = elsewhere / "my study 中文"
    output = study.run(TARGET, "--directory", str(folder))
    assert note in output
    assert (folder / TARGET).exists()


@pytest.mark.slow
def test_results_may_be_a_link_to_another_file_system(
    checkout: Study, elsewhere: Path, tmp_path: Path
) -> None:
    (tmp_path / "results").symlink_to(elsewhere)
    assert "Nothing to be done" not in checkout.run(TARGET, "--directory", str(tmp_path))
    assert "Nothing to be done" in checkout.run(TARGET, "--directory", str(tmp_path))


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_line(checkout: Study) -> None:
    done = checkout.snakemake(TARGET, "--directory", "/dev/null/study")
    assert done.returncode != 0
    words = [line for line in done.stderr.splitlines() if line.startswith("triptych:")]
    assert len(words) == 1 and "/dev/null: Not a directory; free some space there, or choose" in words[0]
    assert "Traceback" not in done.stderr
