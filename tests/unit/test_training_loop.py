"""The training loop: exact, resumable at any moment, clear errors."""

import csv
import logging
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_training import EVERYTHING, EXAMPLES, STEPS, same, train

from triptych.training.checkpoint import Checkpoints
from triptych.training.loop import Batch
from triptych.training.stopping import saving_when_stopped
from triptych.workflow.errors import TriptychError


def test_the_same_recipe_and_seed_give_the_same_bits(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a")[0], train(tmp_path / "b")[0])


def test_checkpoints_do_not_change_the_result(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a")[0], train(tmp_path / "b", every=0.0)[0])


MOMENTS = random.Random(4)  # the moments look random and are the same in each run of the tests


@pytest.mark.parametrize(
    ("place", "moment", "changes"),
    [
        ("time", MOMENTS.randrange(1000), {**EVERYTHING, "optimizer": "muon"}),
        ("evaluating", MOMENTS.randrange(1, 3), {**EVERYTHING, "optimizer": "adamw"}),
        ("saving", MOMENTS.randrange(1, 9), {**EVERYTHING, "optimizer": "lars", "learning_rate": 5.0}),
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


@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGUSR1, 1)],  # Slurm repeats SIGTERM
)
def test_a_terminated_run_saves_the_step_it_has_reached(
    tmp_path: Path, number: signal.Signals, times: int
) -> None:
    script = (
        "import os, sys, signal, torch; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from toy_training import train; from triptych.training.stopping import saving_when_stopped;"
        "torch.set_num_threads(1);"
        f"numbers = {times * [int(number)]};"
        "signal.signal(signal.SIGALRM, lambda *_: [os.kill(os.getpid(), n) for n in numbers]);"
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


def test_a_checkpoint_waits_for_its_time_except_at_the_end(tmp_path: Path) -> None:
    train(tmp_path, every=1e9)
    (only,) = (tmp_path / "checkpoints").iterdir()
    assert only.name == f"step-{3 * STEPS:09d}.pt"
    checkpoints = Checkpoints(tmp_path / "other", "run", every=0.0)
    assert checkpoints.due()
    assert not Checkpoints(tmp_path / "other", "run", every=60).due()


def test_a_finished_run_that_is_started_again_only_reads_its_checkpoint(tmp_path: Path) -> None:
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


def test_a_batch_larger_than_the_data_is_lowered_to_all_of_it(tmp_path: Path) -> None:
    larger, whole = (train(tmp_path / str(size), batch_size=size, epochs=1)[0] for size in (300, EXAMPLES))
    assert same(larger, whole)
