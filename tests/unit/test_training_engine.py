"""The engine: exact, resumable at any moment, honest about failure."""

import csv
import errno
import logging
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from full_disk import full_disk
from torch import nn
from toy_training import EVERYTHING, STEPS, same, train

from triptych.run.errors import TriptychError
from triptych.training.checkpoint import Checkpoints, time_checkpoint
from triptych.training.engine import Batch
from triptych.training.stopping import saving_when_stopped


def test_the_same_recipe_and_seed_give_the_same_bits(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a")[0], train(tmp_path / "b")[0])


def test_checkpoints_do_not_change_the_result(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a")[0], train(tmp_path / "b", every=0.0)[0])


MOMENTS = random.Random(4)  # the moments look random and are the same in each run of the tests


@pytest.mark.parametrize(
    ("place", "moment", "changes"),
    [
        ("time", MOMENTS.randrange(1000), {}),
        ("time", MOMENTS.randrange(1000), {**EVERYTHING, "optimizer": "muon"}),
        ("time", MOMENTS.randrange(1000), {**EVERYTHING, "optimizer": "lars", "learning_rate": 5.0}),
        ("evaluating", MOMENTS.randrange(1, 3), {**EVERYTHING, "optimizer": "adamw"}),
        ("saving", MOMENTS.randrange(1, 9), {**EVERYTHING, "optimizer": "muon"}),
    ],
)
def test_a_run_killed_at_any_moment_and_resumed_gives_the_same_bits(
    tmp_path: Path, place: str, moment: int, changes: dict[str, object]
) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from toy_training import train_and_die;"
        f"train_and_die(Path(sys.argv[2]), {place!r}, {moment}, {changes})"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "killed")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    saved = list((tmp_path / "killed/checkpoints").glob("step-*.pt"))
    # Two are kept; a third one where the process dies between writing it and deleting the oldest.
    assert 1 <= len(saved) <= 3, "the process must die in the middle, after its first checkpoint"
    assert not (tmp_path / "killed/history.csv").exists()

    straight, reference = train(tmp_path / "straight", **changes)
    resumed, fitted = train(tmp_path / "killed", **changes)
    assert same(resumed, straight)
    assert [row["train_loss"] for row in fitted.rows] == [row["train_loss"] for row in reference.rows]
    assert [row["error"] for row in fitted.rows] == [row["error"] for row in reference.rows]
    assert not list((tmp_path / "killed/checkpoints").glob(".*")), "what was half written is cleared away"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_the_step_it_has_reached(
    tmp_path: Path, number: signal.Signals
) -> None:
    script = (
        "import os, sys, signal, torch; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from toy_training import train; from triptych.training.stopping import saving_when_stopped;"
        "torch.set_num_threads(1);"
        f"signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), {int(number)}));"
        "signal.setitimer(signal.ITIMER_REAL, 0.3); stop = saving_when_stopped(); stop.__enter__();"
        "train(Path(sys.argv[2]), delay=0.02)"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "stopped")]
    assert subprocess.run(command, check=False).returncode == 128 + number
    (saved,) = (tmp_path / "stopped/checkpoints").glob("step-*.pt")
    assert 0 < int(saved.stem.removeprefix("step-")) < 3 * STEPS, "it must stop in the middle"
    assert same(train(tmp_path / "stopped")[0], train(tmp_path / "straight")[0])


def test_signals_mean_again_what_they_meant_once_a_training_has_ended(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with saving_when_stopped():
        assert signal.getsignal(signal.SIGINT) != before[0]
        train(tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_run_killed_while_it_evaluates_resumes_there(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(model: nn.Module) -> float:
        raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "killed", every=0.0, evaluate=killed)
    resumed, _ = train(tmp_path / "killed")
    assert same(resumed, train(tmp_path / "straight")[0])


def test_the_time_of_the_last_step_is_known_after_a_kill_in_the_evaluation(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(model: nn.Module) -> float:
        raise Killed

    with pytest.raises(Killed):
        train(tmp_path, every=0.0, evaluate=killed, batch_size=200)  # one step an epoch
    _, fitted = train(tmp_path, batch_size=200)
    assert 0 < fitted.model_share < 1


def test_a_checkpoint_of_another_recipe_is_discarded(tmp_path: Path) -> None:
    old = Checkpoints(tmp_path, "old recipe")
    old.save(3, {"weights": torch.ones(2)})
    assert Checkpoints(tmp_path, "new recipe").load() is None
    assert not list(tmp_path.glob("*.pt"))


def torn(content: bytes, share: float) -> bytes:
    return content[: int(share * len(content))]


def empty_behind(content: bytes, share: float) -> bytes:
    return torn(content, share).ljust(len(content), b"\0")


def one_bit_off(content: bytes, share: float) -> bytes:
    place = int(share * len(content))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("damage", [torn, empty_behind, one_bit_off])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_counts_no_more(
    tmp_path: Path, damage: Callable[[bytes, float], bytes], share: float
) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    for step in (1, 2):
        checkpoints.save(step, {"step": step, "weights": torch.full((1000,), float(step))})
    (tmp_path / "step-000000002.pt").write_bytes(damage((tmp_path / "step-000000002.pt").read_bytes(), share))
    state = checkpoints.load()
    assert state is not None and state["step"] == 1
    assert checkpoints.newest() == tmp_path / "step-000000001.pt"


def test_checkpoints_that_cannot_be_read_now_do_not_push_out_those_that_are_saved_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    for step in (19, 20):
        checkpoints.save(step, {"step": step})

    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "read_bytes", fail)
        assert checkpoints.load() is None
    checkpoints.save(5, {"step": 5})
    assert checkpoints.newest() == tmp_path / "step-000000005.pt"
    assert Checkpoints(tmp_path, "run").load() == {"step": 5}


def test_a_run_that_goes_on_with_other_threads_says_what_that_means(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Checkpoints(tmp_path, "run", threads=4).save(1, {"step": 1})
    assert Checkpoints(tmp_path, "run", threads=4).load() == {"step": 1}
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert Checkpoints(tmp_path, "run", threads=2).load() == {"step": 1}
    assert "began with 4 threads and goes on with 2" in caplog.text


def test_a_torn_checkpoint_counts_no_more(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", "run")
    checkpoints.save(10, {"step": 10})
    checkpoints.save(20, {"step": 20})
    (tmp_path / "run/step-000000020.pt").write_bytes(b"torn")
    checkpoints.load()
    checkpoints.save(15, {"step": 15})
    newest = checkpoints.newest()
    assert newest is not None and newest.name == "step-000000015.pt"
    assert [path.name for path in sorted((tmp_path / "run").glob("*.pt"))] == [
        "step-000000010.pt",
        "step-000000015.pt",
    ]
    checkpoints.remove()
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_known_as_one_where_a_checkpoint_is_saved(tmp_path: Path) -> None:
    for state in ({"weights": torch.ones(100_000)}, {"weights": [torch.ones(10) for _ in range(99)]}):
        with pytest.raises(OSError) as caught, full_disk():
            Checkpoints(tmp_path, "run").save(1, state)
        assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_only_two_checkpoints_are_kept_and_none_after_the_end(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", "run")
    for step in range(5):
        checkpoints.save(step, {"step": step})
    assert len(list((tmp_path / "run").iterdir())) == 2
    checkpoints.remove()
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_waits_for_its_time_except_at_the_end(tmp_path: Path) -> None:
    train(tmp_path, every=1e9)
    (only,) = (tmp_path / "checkpoints").iterdir()
    assert only.name == f"step-{3 * STEPS:09d}.pt"
    checkpoints = Checkpoints(tmp_path / "other", "run", every=0.0)
    assert checkpoints.due()
    assert not Checkpoints(tmp_path / "other", "run", every=60).due()


def test_a_finished_run_that_is_asked_again_only_reads_its_checkpoint(tmp_path: Path) -> None:
    model, fitted = train(tmp_path)
    seen: list[Batch] = []
    again, repeated = train(tmp_path, seen=seen)
    assert same(model, again) and fitted == repeated and not seen


def test_the_best_weights_are_not_stored_twice(tmp_path: Path) -> None:
    falling = iter([3.0, 2.0, 1.0])
    train(tmp_path / "last_is_best", evaluate=lambda model: next(falling))
    rising = iter([1.0, 2.0, 3.0])
    train(tmp_path / "first_is_best", evaluate=lambda model: next(rising))
    stored = []
    for name in ("last_is_best", "first_is_best"):
        (file,) = (tmp_path / name / "checkpoints").iterdir()
        stored.append(torch.load(file, weights_only=True)["state"]["best_weights"] is not None)
    assert stored == [False, True]


def test_saving_and_loading_can_be_timed(tmp_path: Path) -> None:
    save, load = time_checkpoint({"weights": torch.zeros(1000)}, tmp_path / "timing")
    assert 0 < save < 10 and 0 < load < 10
    assert not (tmp_path / "timing").exists()


def test_the_weights_of_the_best_epoch_are_restored(tmp_path: Path) -> None:
    scripted = iter([3.0, 1.0, 2.0, 1.0])
    seen = []

    def evaluate(model: nn.Module) -> float:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(scripted)

    model, fitted = train(tmp_path, epochs=4, evaluate=evaluate)
    assert fitted.best_epoch == 2
    assert all(torch.equal(value, seen[1][name]) for name, value in model.state_dict().items())
    assert not torch.equal(seen[1]["0.weight"], seen[3]["0.weight"])


def test_every_epoch_has_its_row_in_the_history_and_in_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, fitted = train(tmp_path)
    with (tmp_path / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["train_loss"]) for row in rows] == [row["train_loss"] for row in fitted.rows]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train_loss")] == [1, 2, 3]


def test_history_and_log_say_how_fast_and_how_much_of_it_is_the_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="triptych"):
        _, slow = train(tmp_path / "a", delay=0.01)
    assert slow.model_share < 0.5  # of a step of 10 ms and the toy's fraction of one
    assert all(row["images_per_second"] < 8 / 0.01 for row in slow.rows)
    assert min(row["model_share"] for row in slow.rows) <= slow.model_share
    told = re.search(r"toy: finished after 0:00:0\d; (\S+) images/s in training, (\S+) % of", caplog.text)
    assert told is not None
    assert float(told[1]) < 8 / 0.01
    assert float(told[2]) == pytest.approx(100 * slow.model_share, abs=0.1)


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(TriptychError) as raised:
        train(tmp_path, learning_rate=1e30, warmup_epochs=0, schedule="constant")
    # Weights of 1e30 after the first step overflow in the second.
    assert re.search(
        r"loss is (nan|inf) in epoch 1, step 2, at learning rate 1e\+30; "
        r"last good checkpoint: none yet; lower",
        str(raised.value),
    )


def test_a_run_that_diverges_later_names_its_last_good_checkpoint(tmp_path: Path) -> None:
    def evaluate(model: nn.Module) -> float:
        if len(errors) == 1:
            model[0].weight.data[0, 0] = float("nan")  # type: ignore[index, union-attr]
        errors.append(0.0)
        return 0.0

    errors: list[float] = []
    with pytest.raises(TriptychError, match="a weight is not finite in epoch 2, step 25") as raised:
        train(tmp_path, every=0.0, evaluate=evaluate)
    named = re.search(r"last good checkpoint: (\S+);", str(raised.value))
    assert named is not None
    state = torch.load(named[1], weights_only=True)["state"]
    assert (state["epoch"], state["step"]) == (1, STEPS)
    assert all(value.isfinite().all() for value in state["model"].values())


def test_a_batch_larger_than_the_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="batch_size is 300 but there are only 200"):
        train(tmp_path, batch_size=300)
