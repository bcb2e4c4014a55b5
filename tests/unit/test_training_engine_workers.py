"""The engine with two data-parallel workers."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_training import STEPS, fail, same, train, train_as_worker

from triptych.training.engine import Fitted
from triptych.training.workers import run_workers
from triptych.workflow.errors import TriptychError

STILL = {"dropout": 0.0, "noise": 0.0, "epochs": 2, "clip_norm": 0.5, "ema": 0.9}


def train_in_pair(folder: Path, **options: object) -> tuple[nn.Module, Fitted]:
    return run_workers(train_as_worker, (folder, options), workers=2, device_type="cpu")


def test_two_workers_take_the_steps_of_one_process_with_the_same_batch(tmp_path: Path) -> None:
    pair, fitted = train_in_pair(tmp_path / "pair", **STILL)
    # Without synchronised batch norm a worker's share is normalised like a piece of the batch.
    single, reference = train(tmp_path / "single", accumulate=2, **STILL)  # type: ignore[arg-type]
    for row, expected in zip(fitted.rows, reference.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
    for a, b in zip(pair.parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "pair/history.csv").read_text().count("\n") == 3
    assert len(list((tmp_path / "pair/tensorboard").iterdir())) == 1


def test_workers_that_fail_resume_to_the_same_bits(tmp_path: Path) -> None:
    noisy = {"epochs": 2, "every": 0.0, "optimizer": "muon"}
    with pytest.raises(TriptychError, match="the evaluation failed"):
        train_in_pair(tmp_path / "failed", evaluate=fail, **noisy)
    assert len(list((tmp_path / "failed/checkpoints").iterdir())) == 2
    resumed, _ = train_in_pair(tmp_path / "failed", **noisy)
    straight, _ = train_in_pair(tmp_path / "straight", **noisy)
    assert same(resumed, straight)


def test_two_workers_that_are_asked_to_stop_save_the_step_they_have_reached(tmp_path: Path) -> None:
    noisy = {"epochs": 2, "delay": 0.02}
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from toy_training import stop_all; from test_training_engine_workers import train_in_pair;"
        f"train_in_pair(Path(sys.argv[2]), evaluate=stop_all, **{noisy})"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "stopped")]
    # the signal reaches all processes of the group, as that of a scheduler does
    stopped = subprocess.run(command, check=False, start_new_session=True)
    assert stopped.returncode == 128 + signal.SIGTERM
    (saved,) = (tmp_path / "stopped/checkpoints").glob("step-*.pt")
    assert STEPS <= int(saved.stem.removeprefix("step-")) < 2 * STEPS, "it must stop at once"
    resumed, _ = train_in_pair(tmp_path / "stopped", **noisy)
    straight, _ = train_in_pair(tmp_path / "straight", **noisy)
    assert same(resumed, straight)


def test_a_batch_that_two_workers_cannot_share_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="batch of 9 images cannot be shared equally by 2 workers"):
        train_in_pair(tmp_path, batch_size=9)
