"""Results are recognised by their content, whatever their times; edited ones are found."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json, write_json
from triptych.workflow.records import (
    LATEST,
    METADATA,
    keep_metadata,
    reconcile,
    remove_finished_checkpoints,
    remove_record,
    write_record,
)

OUTPUTS = ["results/cell/model.bin", "results/cell/views"]
FILES = ["results/cell/model.bin", "results/cell/views/0.png", "results/cell/views/deep/1.png"]


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which one job has run."""
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(f"content of {file}")
    write_record(OUTPUTS)
    Path("results/cell/views/.snakemake_timestamp").touch()
    assert reconcile() == []


def times() -> list[int]:
    return [Path(path).stat().st_mtime_ns for path in [*FILES, "results/cell/views/.snakemake_timestamp"]]


def marks() -> int:
    """How many outputs Snakemake is told to compute again."""
    return len(list(Path(".snakemake/incomplete").iterdir()))


def test_all_files_of_a_job_have_the_time_at_which_it_finished() -> None:
    assert len(set(times())) == 1


def test_touched_files_get_their_times_back() -> None:
    before = times()
    for path in [*FILES, "results/cell/views/.snakemake_timestamp"]:
        os.utime(path)
    assert times() != before
    assert reconcile() == [] and times() == before and not marks()


def test_a_copy_without_snakemakes_folder_is_recognised(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, copy = times(), tmp_path_factory.mktemp("copy")
    shutil.copytree("results", copy / "results", copy_function=shutil.copy)
    monkeypatch.chdir(copy)
    assert times() != before
    assert reconcile() == [] and times() == before


def test_files_of_the_recorded_size_and_time_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.workflow.records.digest_of_file", lambda path: pytest.fail("read"))
    assert reconcile() == []


@pytest.mark.parametrize(
    ("file", "content", "changed"),
    [
        ("results/cell/model.bin", "content of results/cell/model.bon", OUTPUTS[0]),  # as long as before
        ("results/cell/model.bin", "cont", OUTPUTS[0]),
        ("results/cell/views/deep/1.png", "edited", OUTPUTS[1]),
        ("results/cell/views/2.png", "added", OUTPUTS[1]),
    ],
)
def test_edited_truncated_and_added_files_are_named_and_marked_until_put_back(
    file: str, content: str, changed: str
) -> None:
    before = Path(file).read_text() if Path(file).exists() else None
    Path(file).write_text(content)
    assert reconcile() == [changed] and marks() == 1
    assert reconcile() == [changed] and marks() == 1
    if before is None:
        Path(file).unlink()
    else:
        Path(file).write_text(before)
    assert reconcile() == [] and not marks()


def test_a_file_that_is_gone_from_a_folder_counts_as_an_edit_of_it() -> None:
    Path("results/cell/views/0.png").unlink()
    assert reconcile() == [OUTPUTS[1]]


def test_a_missing_output_is_left_to_snakemake() -> None:
    shutil.rmtree("results/cell/views")
    assert reconcile() == [] and not marks()


def test_hidden_files_in_a_folder_do_not_count() -> None:
    Path("results/cell/views/.DS_Store").write_text("noise")
    assert reconcile() == []


def test_a_mark_of_snakemakes_own_is_left_alone() -> None:
    """The job has written everything, and Snakemake was killed before it could note so."""
    from snakemake.persistence.file import FilePersistence

    FilePersistence(path=Path(".snakemake").resolve())._mark_incomplete(OUTPUTS[0], None)
    assert reconcile() == [] and marks() == 1


def test_a_job_that_runs_again_has_no_record_until_it_has_finished() -> None:
    remove_record(OUTPUTS)
    Path(FILES[0]).write_text("half")
    assert reconcile() == []
    Path(FILES[0]).unlink()
    write_record(OUTPUTS)  # not all of it is there
    assert not list(Path("results/records/jobs").rglob("*.json"))


def test_a_record_that_cannot_be_read_is_one_clear_line() -> None:
    (record,) = Path("results/records/jobs").rglob("*.json")
    record.write_text("{")
    with pytest.raises(TriptychError, match=r"model\.bin\.json: not a record of a job .*; delete it"):
        reconcile()


@pytest.mark.parametrize("outside", ["/dev/zero", "../a", "results/../../a", "a"])
def test_a_record_of_files_outside_the_results_is_refused_and_they_are_not_touched(outside: str) -> None:
    (record,) = Path("results/records/jobs").rglob("*.json")
    content = read_json(record)
    content["outputs"][outside] = {outside: [0, "0" * 64]}
    record.write_text(json.dumps(content))
    with pytest.raises(TriptychError, match=r"names files outside results/.*; delete it"):
        reconcile()


def test_a_result_that_was_exchanged_for_an_endless_device_is_not_read() -> None:
    Path(FILES[0]).unlink()
    Path(FILES[0]).symlink_to("/dev/zero")
    (record,) = Path("results/records/jobs").rglob("*.json")
    content = read_json(record)
    content["outputs"][OUTPUTS[0]][FILES[0]][0] = 0
    record.write_text(json.dumps(content))
    assert reconcile() == [OUTPUTS[0]]


def test_snakemakes_notes_are_kept_with_the_results() -> None:
    note = Path(".snakemake/metadata/note")
    note.write_text("params")
    assert (METADATA / "note").read_text() == "params"
    shutil.rmtree(".snakemake")
    keep_metadata()
    assert note.read_text() == "params"


def test_notes_from_before_and_from_copies_that_followed_links_are_taken_over() -> None:
    Path(".snakemake/metadata").unlink()
    Path(".snakemake/metadata").mkdir()
    Path(".snakemake/metadata/note").write_text("params")
    keep_metadata()
    assert Path(".snakemake/metadata").is_symlink() and (METADATA / "note").read_text() == "params"


def test_records_are_later_than_results_and_checkpoints_from_the_future() -> None:
    def ahead(*paths: Path) -> int:
        future = time.time_ns() + 10**18
        for path in paths:
            os.utime(path, ns=(future, future))
        return future

    (record,) = Path("results/records/jobs").rglob("*.json")
    checkpoint = Path("results/checkpoints/cell/step-000000001.pt")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    wrong = ahead(LATEST, checkpoint)
    write_record(OUTPUTS)
    first = read_json(record)["finished"]
    write_record(OUTPUTS)
    assert wrong < first < read_json(record)["finished"]
    remove_finished_checkpoints()
    assert not checkpoint.exists()


def test_results_from_the_future_become_the_latest_of_the_past_in_their_order() -> None:
    (record,) = Path("results/records/jobs").rglob("*.json")
    later, before, future = record.with_name("later.json"), times()[0], time.time_ns() + 10**18
    record.write_text(record.read_text().replace(str(read_json(record)["finished"]), str(future)))
    write_json(later, {"finished": future + 1, "outputs": {}})
    LATEST.unlink()  # as in a study from before there was one
    assert reconcile() == []
    assert (
        before < times()[0] == read_json(record)["finished"] < read_json(later)["finished"] < time.time_ns()
    )
    assert times() == [times()[0]] * len(times())
    write_record(OUTPUTS)
    assert read_json(later)["finished"] < read_json(record)["finished"] < time.time_ns()


def test_checkpoints_stay_until_the_outputs_of_their_training_are_recorded() -> None:
    finished, unfinished = (Path(f"results/checkpoints/grid/{name}/seed0") for name in ("done", "running"))
    for folder in (finished, unfinished):
        folder.mkdir(parents=True)
        (folder / "step-000000001.pt").write_text("a state")
    write_record([OUTPUTS[0]])
    metrics = Path("results/grid/done/seed0/metrics.json")
    metrics.parent.mkdir(parents=True)
    metrics.write_text("{}")
    remove_finished_checkpoints()
    assert finished.exists()
    write_record([str(metrics)])
    remove_finished_checkpoints()
    assert not finished.exists()
    assert list(unfinished.iterdir())
    finished.mkdir()
    (finished / "step-000000002.pt").write_text("a state of the next recipe")
    remove_finished_checkpoints()
    assert finished.exists()
