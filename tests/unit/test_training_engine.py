"""The engine: exact, resumable at any moment, honest about failure."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from triptych.run.errors import TriptychError
from triptych.training.checkpoint import Checkpoints
from triptych.training.engine import Batch, Fitted, fit
from triptych.training.schedule import learning_rate

RECIPE = {
    "epochs": 3,
    "batch_size": 8,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "milestones": [],
    "decay": 0.2,
    "precision": "float32",
}


def train(
    folder: Path,
    *,
    every: float = 1e9,
    delay: float = 0.0,
    evaluate: Callable[[nn.Module], float] | None = None,
    **changes: object,
) -> tuple[nn.Module, Fitted]:
    """A small network with dropout and noise, so that every kind of randomness is in play."""
    torch.manual_seed(0)
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    y = x[:, :1].sin()
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        time.sleep(delay)
        noise = 0.1 * torch.randn(len(batch.indices), 6, generator=batch.generator)
        return x[batch.indices] + noise, y[batch.indices]

    def loss_of(inputs: tuple[Tensor, Tensor]) -> Tensor:
        return (model(inputs[0]) - inputs[1]).square().mean()

    def error(model: nn.Module) -> float:
        return (model(x) - y).square().mean().item()

    measure = evaluate or error
    fitted = fit(
        model,
        prepare,
        loss_of,
        size=len(x),
        recipe={**RECIPE, **changes},
        seed=0,
        device=torch.device("cpu"),
        label="toy",
        checkpoints=Checkpoints(folder / "checkpoints", "toy", every=every),
        events=folder / "tensorboard",
        history=folder / "history.csv",
        evaluate=lambda: {"error": measure(model)},
        select="error",
    )
    return model, fitted


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def test_the_same_recipe_and_seed_give_the_same_bits(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a")[0], train(tmp_path / "b")[0])


def test_checkpoints_do_not_change_the_result(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a")[0], train(tmp_path / "b", every=0.0)[0])


@pytest.mark.parametrize("kill_after", [0.0, 0.6, 1.3])
def test_a_run_killed_at_any_moment_and_resumed_gives_the_same_bits(
    tmp_path: Path, kill_after: float
) -> None:
    script = (
        "import sys, torch; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "torch.set_num_threads(1);"
        "from test_training_engine import train; train(Path(sys.argv[1]), every=0.05, delay=0.04)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "killed"), str(Path(__file__).parent)]
    process = subprocess.Popen(command)
    while process.poll() is None and not list((tmp_path / "killed/checkpoints").glob("step-*.pt")):
        time.sleep(0.01)
    time.sleep(kill_after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    saved = list((tmp_path / "killed/checkpoints").glob("step-*.pt"))
    assert 1 <= len(saved) <= 2, "the process must die in the middle, after its first checkpoint"
    assert not (tmp_path / "killed/history.csv").exists()

    resumed, fitted = train(tmp_path / "killed")
    straight, reference = train(tmp_path / "straight")
    assert same(resumed, straight)
    assert [row["train_loss"] for row in fitted.rows] == [row["train_loss"] for row in reference.rows]


def test_a_run_killed_while_it_evaluates_resumes_there(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(model: nn.Module) -> float:
        raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "killed", every=0.0, evaluate=killed)
    resumed, _ = train(tmp_path / "killed")
    assert same(resumed, train(tmp_path / "straight")[0])


def test_a_checkpoint_of_another_recipe_is_discarded(tmp_path: Path) -> None:
    old = Checkpoints(tmp_path, "old recipe")
    old.save(3, {"weights": torch.ones(2)})
    assert Checkpoints(tmp_path, "new recipe").load() is None
    assert not list(tmp_path.glob("*.pt"))


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    checkpoints.save(1, {"step": 1})
    checkpoints.save(2, {"step": 2})
    newest = sorted(tmp_path.glob("*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:50])
    assert checkpoints.load() == {"step": 1}


def test_only_two_checkpoints_are_kept_and_none_after_the_end(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", "run")
    for step in range(5):
        checkpoints.save(step, {"step": step})
    assert len(list((tmp_path / "run").iterdir())) == 2
    checkpoints.remove()
    assert not (tmp_path / "run").exists()


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


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(
        TriptychError, match=r"loss is (nan|inf) in epoch 1, step \d+, at learning rate .*lower"
    ):
        train(tmp_path, learning_rate=1e30, warmup_epochs=0)


def test_a_batch_larger_than_the_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="batch_size is 300 but there are only 200"):
        train(tmp_path, batch_size=300)


def test_schedules_follow_their_definitions() -> None:
    base = {"learning_rate": 1.0, "epochs": 10, "warmup_epochs": 2, "milestones": [4, 8], "decay": 0.1}
    warm = [learning_rate({**base, "schedule": "constant"}, step, 5) for step in range(12)]
    assert warm == sorted(warm) and warm[0] > 0 and warm[10] == warm[11] == 1.0
    cosine = {**base, "schedule": "cosine"}
    assert learning_rate(cosine, 10, 5) == 1.0
    assert learning_rate(cosine, 30, 5) == pytest.approx(0.5)
    assert learning_rate(cosine, 49, 5) < 0.01
    steps = [learning_rate({**base, "schedule": "step"}, 5 * epoch, 5) for epoch in (3, 4, 7, 8)]
    assert steps == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns(tmp_path: Path, name: str) -> None:
    rate = 0.1 if name == "sgd" else 0.01
    _, fitted = train(tmp_path, optimizer=name, learning_rate=rate, epochs=4)
    assert fitted.rows[-1]["error"] < 0.5 * 0.43  # the variance of sin(x) is 0.43
