"""SimCLR's own parts: stages, budgets, more views, and warnings when nothing is learnt."""

import logging
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks._simclr_peers import Peer
from hypothesis import given
from hypothesis import strategies as st
from killed_workers import pretrain_and_die
from test_classify import SIMCLR, VIEWS, data, experiment, metrics

from triptych.classify.experiment import load_weights
from triptych.classify.training import run_training
from triptych.data.packed import load_packed
from triptych.models.resnet import ResNet18
from triptych.ssl.epoch_budget import measure_plan, plan_epochs, typical_seconds
from triptych.ssl.knn import KnnMonitor
from triptych.ssl.simclr import Pretraining, pretrain, seconds_until, size_at
from triptych.training.engine import Batch
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

__all__ = ["data"]  # the fixture
CPU = torch.device("cpu")


def test_views_grow_with_the_stages_of_the_training() -> None:
    stages = [{"share": 3, "size": 16}, {"share": 1, "size": 24}, {"share": 1, "size": 32}]
    sizes = [size_at(stages, progress, 32) for progress in (0.0, 0.59, 0.61, 0.79, 0.81, 0.999999)]
    assert sizes == [16, 16, 24, 24, 32, 32]
    assert size_at([], 0.5, 48) == 48


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.floats(0, 1, exclude_max=True))
def test_every_moment_of_the_training_belongs_to_a_stage(shares: list[float], progress: float) -> None:
    stages = [{"share": share, "size": size} for size, share in enumerate(shares)]
    assert 0 <= size_at(stages, progress, 99) < len(shares)


def test_the_time_that_is_left_knows_that_later_stages_are_slower() -> None:
    stages = [{"share": 9, "size": 16}, {"share": 1, "size": 32}]
    seconds = [seconds_until(stages, [1.0, 3.0], progress) for progress in (0.0, 0.5, 0.9, 0.95, 1.0)]
    assert seconds == pytest.approx([0.0, 0.5, 0.9, 1.05, 1.2])


def test_a_step_sees_as_many_views_as_the_recipe_asks_for_in_the_size_of_its_stage(data: Path) -> None:
    recipe = {**SIMCLR, "views": {**VIEWS, "count": 3}, "progressive_resizing": [{"share": 1.0, "size": 12}]}
    training = Pretraining(recipe, load_packed(data), CPU)
    views = training.prepare(Batch(torch.arange(4), torch_generator(CPU, 0), progress=0.5))
    assert views.shape == (12, 3, 12, 12)
    first, second, third = views.chunk(3)
    assert not torch.equal(first, second) and not torch.equal(second, third)
    loss = training.loss_of(views)
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in training.model.parameters())


def test_pretraining_by_stages_with_more_views_and_the_decoupled_loss(tmp_path: Path, data: Path) -> None:
    stages = [{"share": 0.5, "size": 8}, {"share": 0.5, "size": 16}]
    recipe = {**SIMCLR, "progressive_resizing": stages, "decoupled": True, "views": {**VIEWS, "count": 4}}
    pretrain(experiment(tmp_path, data, {**recipe, "epochs": 3, "monitor_every": 2}), [0.01, 0.03])
    found = metrics(tmp_path)
    assert found["knn_accuracy"] > 50  # chance is 33
    assert 0 < found["model_share"] < 1
    rows = (tmp_path / "history.csv").read_text().splitlines()
    column = rows[0].split(",").index("knn_accuracy") if "knn_accuracy" in rows[0] else -1
    looked = [bool(row.split(",")[column]) for row in rows[1:]]
    assert looked == [False, True, True]  # every second epoch, and the last


@pytest.mark.parametrize(("accumulate", "decoupled"), [(1, False), (4, True)])
def test_a_training_that_tells_no_images_apart_says_so(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture, accumulate: int, decoupled: bool
) -> None:
    recipe = {**SIMCLR, "epochs": 1, "temperature": 1000.0, "accumulate": accumulate, "decoupled": decoupled}
    with caplog.at_level(logging.WARNING, logger="triptych"):
        pretrain(experiment(tmp_path, data, recipe))
    assert "that of an encoder that tells no images apart" in caplog.text


def test_what_tells_no_images_apart_says_so_after_every_epoch_also_where_it_was_killed_before_the_look(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(monitor: KnnMonitor) -> dict[str, float]:
        raise Killed

    run = replace(
        experiment(tmp_path, data, {**SIMCLR, "epochs": 2, "temperature": 1000.0, "monitor_every": 2}),
        checkpoint_minutes=0,
    )
    told = "that of an encoder that tells no images apart"
    with caplog.at_level(logging.WARNING, logger="triptych"):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(KnnMonitor, "__call__", killed)
            pretrain(run)
        assert caplog.text.count(told) == 2
        caplog.clear()
        pretrain(run)  # goes on between the last step and the look
    assert caplog.text.count(told) == 1


# Wide enough, and in batches large enough, for kernels of ours, in whatever format the processor is fast.
FOR_KERNELS = {
    **SIMCLR,
    "width": 32,
    "batch_size": 32,
    "epochs": 3,
    "precision": "auto",
    "optimizer": "muon",
    "adam_learning_rate": None,
}

KILLED_AFTER = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from test_classify import experiment
from test_simclr import FOR_KERNELS
from triptych.ssl.simclr import pretrain
from triptych.training.checkpoint import Checkpoints

torch.set_num_threads(1)
save, saved = Checkpoints.save, 0

def save_and_die(*arguments):
    global saved
    save(*arguments)
    saved += 1
    if saved == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.save = save_and_die
pretrain(replace(experiment(Path(sys.argv[2]), Path(sys.argv[3]), FOR_KERNELS), checkpoint_minutes=0))
"""


def test_pretraining_by_kernels_that_is_killed_and_resumed_gives_the_same_bits(
    tmp_path: Path, data: Path
) -> None:
    command = [sys.executable, "-c", KILLED_AFTER, str(Path(__file__).parent), str(tmp_path / "killed")]
    died = subprocess.run([*command, str(data), "5"], check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(list((tmp_path / "killed/checkpoints").glob("*.pt"))) == 2
    pretrain(experiment(tmp_path / "killed", data, FOR_KERNELS))
    pretrain(experiment(tmp_path / "straight", data, FOR_KERNELS))
    encoders = [(tmp_path / name / "encoder.safetensors").read_bytes() for name in ("killed", "straight")]
    assert encoders[0] == encoders[1]


def test_two_workers_pretrain_one_encoder(tmp_path: Path, data: Path) -> None:
    recipe = {**SIMCLR, "epochs": 2, "gpus": 2}
    run_training(pretrain, experiment(tmp_path / "two", data, recipe))
    found = metrics(tmp_path / "two")
    assert found["provenance"]["recipe"] == recipe and found["knn_accuracy"] > 50  # chance is 33
    load_weights(ResNet18(width=8), tmp_path / "two/encoder.safetensors")
    rows = (tmp_path / "two/history.csv").read_text().splitlines()
    assert len(rows) == 3 and not (tmp_path / "two/checkpoints").exists()
    with pytest.raises(TriptychError, match="a batch of 19 images cannot be shared equally by 2 workers"):
        run_training(pretrain, experiment(tmp_path / "odd", data, {**recipe, "batch_size": 19}))


def test_two_workers_that_are_killed_within_an_epoch_resume_to_the_same_bits(
    tmp_path: Path, data: Path
) -> None:
    recipe = {**SIMCLR, "epochs": 1, "gpus": 2}
    killed = replace(experiment(tmp_path / "killed", data, recipe), checkpoint_minutes=0.0)
    with pytest.raises(TriptychError, match=r"was killed \(SIGKILL\)"):
        run_training(pretrain_and_die, killed, 3)
    newest = sorted(killed.checkpoints.glob("*.pt"))[-1]
    assert newest.name == "step-000000003.pt"  # of six
    run_training(pretrain, killed)
    run_training(pretrain, experiment(tmp_path / "straight", data, recipe))
    encoders = [(tmp_path / name / "encoder.safetensors").read_bytes() for name in ("killed", "straight")]
    assert encoders[0] == encoders[1]


def test_several_workers_cannot_share_one_device(tmp_path: Path, data: Path) -> None:
    recipe = {**SIMCLR, "device": "cpu:0", "gpus": 2}
    with pytest.raises(TriptychError, match="gpus is 2 but device 'cpu:0' is a single one; set device: cpu"):
        run_training(pretrain, experiment(tmp_path, data, recipe))


def test_collapsed_features_are_noticed(tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="triptych"):
        pretrain(experiment(tmp_path, data, {**SIMCLR, "epochs": 3, "weight_decay": 15.0}))
    assert "the features have collapsed" in caplog.text


def test_a_step_that_other_work_disturbs_does_not_lengthen_the_typical_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    durations = iter([60.0, 3.0, 3.0, 3.0, 3.0, 60.0, 3.0, 3.0])  # three of them to warm up

    def step() -> None:
        nonlocal now
        now += next(durations)

    monkeypatch.setattr("triptych.ssl.epoch_budget.time.perf_counter", lambda: now)
    assert typical_seconds(step) == 3.0


@given(st.floats(0.1, 1000), st.floats(0.1, 60), st.floats(0, 60), st.integers(1, 10))
def test_a_plan_fills_its_minutes_and_no_more(
    minutes: float, epoch_seconds: float, monitor_seconds: float, every: int
) -> None:
    plan: dict[str, Any] = {
        "epoch_seconds": epoch_seconds,
        "monitor_seconds": monitor_seconds,
        "monitor_every": every,
    }

    def seconds(epochs: int) -> float:
        looks = epochs // every + (epochs % every > 0)
        return epochs * epoch_seconds + looks * monitor_seconds

    try:
        epochs = plan_epochs(minutes, **plan)
    except TriptychError as error:
        assert "raise it" in str(error) and epoch_seconds + 2 * monitor_seconds > 60 * minutes
        return
    assert seconds(epochs) <= 60 * minutes * (1 + 1e-9)
    assert seconds(epochs + 1) > 60 * minutes - 2 * monitor_seconds - 1e-6


def test_a_measured_plan_gives_more_epochs_to_more_minutes(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.ssl.epoch_budget.LEAST_SECONDS", 0.2)
    stages = [{"share": 0.9, "size": 8}, {"share": 0.1, "size": 16}]
    recipe = {**SIMCLR, "progressive_resizing": stages, "accumulate": 3}
    short, long = (measure_plan({**recipe, "minutes": m}, load_packed(data), CPU) for m in (0.2, 2.0))
    assert len(short["step_seconds"]) == 2
    assert 1 <= short["epochs"] < long["epochs"]
    with pytest.raises(TriptychError, match=r"one epoch takes about .* minutes here.* raise it"):
        measure_plan({**recipe, "minutes": 1e-6}, load_packed(data), CPU)
    with pytest.raises(TriptychError, match=r"fewer than warmup_epochs: 1e\+09; raise the minutes or lower"):
        measure_plan({**recipe, "minutes": 0.2, "warmup_epochs": 10**9}, load_packed(data), CPU)


def test_a_peer_of_the_benchmark_runs_as_anyone_would_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OMP_WAIT_POLICY", "MALLOC_TOP_PAD_"):
        monkeypatch.setenv(name, "passive")
    driver = "import os\nprint('ready', flush=True)\ninput()\n"
    driver += "print(sum(name in os.environ for name in ('OMP_WAIT_POLICY', 'MALLOC_TOP_PAD_')), flush=True)"
    (tmp_path / "driver.py").write_text(driver)
    peer = Peer("toy", sys.executable, [str(tmp_path / "driver.py")])
    assert peer.seconds(1) == 0
    peer.close()
