"""A run works, or says in one line why not, whatever the machine is like."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
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
def test_checkpoints_that_a_run_killed_at_its_end_has_left_are_removed_by_the_next(
    checkout: Study, tmp_path: Path
) -> None:
    checkout.run(TARGET, "--directory", str(tmp_path))
    record = next((tmp_path / "results/records/jobs").rglob("*.json"))
    checkpoint = (
        tmp_path / "results/checkpoints" / record.parent.relative_to(tmp_path / "results/records/jobs")
    )
    checkpoint /= "step-000000001.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    os.utime(checkpoint, (0, 0))
    for options, left in ((["--dry-run"], True), ([], False)):
        assert "Nothing to be done" in checkout.run(TARGET, "--directory", str(tmp_path), *options)
        assert checkpoint.exists() == left


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_line(checkout: Study) -> None:
    done = checkout.snakemake(TARGET, "--directory", "/dev/null/study")
    assert done.returncode != 0
    words = [line for line in done.stderr.splitlines() if line.startswith("triptych:")]
    assert len(words) == 1 and "/dev/null: Not a directory; free some space there, or choose" in words[0]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_film_and_the_folder_of_a_study_may_have_names_that_snakemake_would_read_as_variables(
    checkout: Study, tmp_path: Path
) -> None:
    film = tmp_path / "-take {2} <b> $HOME 100% 'x';.mp4"
    film.write_bytes(b"film")
    study = Study(checkout.folder)
    study.preset = tmp_path / "mine.yaml"
    scenes = {"desk": {"source": "video", "path": str(film)}}
    study.preset.write_text(
        yaml.safe_dump(
            {"parts": ["reconstruction"], "scenes": scenes, "reconstruction": {"scenes": ["desk"]}}
        )
    )
    frames = ("results/scenes/desk/frames.csv", "--directory", str(tmp_path / "study {seed} {x}"))
    assert study.plan(*frames) == {"Choosing the images of desk"}


@pytest.mark.slow
def test_after_the_clock_was_set_back_results_are_made_again_where_they_must(
    checkout: Study, tmp_path: Path
) -> None:
    study = Study(checkout.folder)
    study.preset = tmp_path / "mine.yaml"
    film, frames = "results/scenes/orbit/film/film.mp4", "results/scenes/orbit/frames.csv"

    def run(target: str, sweep: int) -> str:
        orbit = {"width": 64, "height": 64, "frames": 36, "fps": 12, "sweep": sweep}
        study.preset.write_text(yaml.safe_dump({"scenes": {"orbit": {"source": "orbit", "orbit": orbit}}}))
        return study.run(target, "--directory", str(tmp_path))

    run(frames, sweep=150)
    for path in (tmp_path / "results/records/jobs").rglob("*.json"):  # as if the clock had been ahead
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "finished": record["finished"] + 10**17}))
    run(film, sweep=120)  # of a run, only the first half succeeds
    assert "Choosing the images of orbit" in run(frames, sweep=120)
