"""SimCLR: a step, progressive resizing, plans of epochs, and warnings when nothing is learnt."""

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
from colour_experiments import SIMCLR, VIEWS, experiment, metrics, save_colours
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.packed import load_packed
from triptych.experiments.experiment import load_weights
from triptych.models.resnet import ResNet18
from triptych.ssl.epoch_budget import measure_plan, plan_epochs, typical_seconds
from triptych.ssl.monitor import Monitor
from triptych.ssl.progressive_resizing import relative_time, seconds_until, size_at
from triptych.ssl.random_encoder import initialise
from triptych.ssl.simclr import SimCLR, pretrain
from triptych.training.batches import Batch
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colours(tmp_path_factory.mktemp("data"))


def test_views_grow_with_the_stages_of_progressive_resizing() -> None:
    stages = [{"share": 3, "size": 16}, {"share": 1, "size": 24}, {"share": 1, "size": 32}]
    sizes = [size_at(stages, progress, 32) for progress in (0.0, 0.59, 0.61, 0.79, 0.81, 0.999999)]
    assert sizes == [16, 16, 24, 24, 32, 32]
    assert size_at([], 0.5, 48) == 48


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.floats(0, 1, exclude_max=True))
def test_every_moment_of_the_training_belongs_to_a_stage(shares: list[float], progress: float) -> None:
    stages = [{"share": share, "size": size} for size, share in enumerate(shares)]
    assert 0 <= size_at(stages, progress, 99) < len(shares)


def test_the_remaining_time_accounts_for_slower_later_stages() -> None:
    stages = [{"share": 9, "size": 16}, {"share": 1, "size": 32}]
    seconds = [seconds_until(stages, [1.0, 3.0], progress) for progress in (0.0, 0.5, 0.9, 0.95, 1.0)]
    assert seconds == pytest.approx([0.0, 0.5, 0.9, 1.05, 1.2])
    cost = relative_time(stages, [1.0, 3.0])
    assert cost is not None and cost(0.95) == pytest.approx(1.05)
    assert relative_time([], []) is None and relative_time(stages, []) is None


def test_a_step_draws_the_recipes_number_of_views_in_the_size_of_its_stage(data: Path) -> None:
    recipe = {**SIMCLR, "views": {**VIEWS, "count": 3}, "progressive_resizing": [{"share": 1.0, "size": 12}]}
    simclr = SimCLR(recipe, load_packed(data), CPU)
    views = simclr.prepare(Batch(torch.arange(4), torch_generator(CPU, 0), progress=0.5))
    assert views.shape == (12, 3, 12, 12)
    first, second, third = views.chunk(3)
    assert not torch.equal(first, second) and not torch.equal(second, third)
    loss = simclr.loss(simclr.model, views)
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in simclr.model.parameters())


def test_pretraining_by_stages_with_more_views_and_the_decoupled_loss(tmp_path: Path, data: Path) -> None:
    stages = [{"share": 0.5, "size": 8}, {"share": 0.5, "size": 16}]
    recipe = {**SIMCLR, "progressive_resizing": stages, "decoupled": True, "views": {**VIEWS, "count": 4}}
    pretrain(experiment(tmp_path, data, {**recipe, "epochs": 3, "monitor_every": 2}), [0.01, 0.03])
    found = metrics(tmp_path)
    assert found["knn_accuracy"] > 50  # chance is 33
    assert 0 < found["model_share"] < 1
    rows = (tmp_path / "history.csv").read_text().splitlines()
    column = rows[0].split(",").index("knn_accuracy") if "knn_accuracy" in rows[0] else -1
    evaluated = [bool(row.split(",")[column]) for row in rows[1:]]
    assert evaluated == [False, True, True]  # every second epoch, and the last


def test_pretraining_twice_gives_the_same_bits_and_another_seed_others(tmp_path: Path, data: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(experiment(tmp_path / name, data, {**SIMCLR, "epochs": 1}, seed))
    a, b, c = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_the_random_encoder_starts_where_pretraining_starts(tmp_path: Path, data: Path) -> None:
    recipe = {**SIMCLR, "learning_rate": 1e-20, "epochs": 1}
    initialise(
        experiment(
            tmp_path / "random", data, {key: SIMCLR[key] for key in ("architecture", "device", "precision")}
        )
    )
    pretrain(experiment(tmp_path / "simclr", data, recipe))
    random, trained = ResNet18(width=8), ResNet18(width=8)
    load_weights(random, tmp_path / "random/encoder.safetensors")
    load_weights(trained, tmp_path / "simclr/encoder.safetensors")
    for (name, a), b in zip(random.named_parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert random.norm.running_mean.abs().sum() > 0  # its batch norms have seen the data


@pytest.mark.parametrize(("accumulate", "decoupled"), [(1, False), (4, True)])
def test_a_training_that_cannot_tell_images_apart_warns(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture, accumulate: int, decoupled: bool
) -> None:
    recipe = {**SIMCLR, "epochs": 1, "temperature": 1000.0, "accumulate": accumulate, "decoupled": decoupled}
    with caplog.at_level(logging.WARNING, logger="triptych"):
        pretrain(experiment(tmp_path, data, recipe))
    assert "that of an encoder that cannot tell images apart" in caplog.text
    assert "that of an encoder that cannot tell images apart" in metrics(tmp_path)["warnings"][0]


def test_the_first_tenth_of_the_epochs_may_be_at_chance_level(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="triptych"):
        pretrain(experiment(tmp_path, data, {**SIMCLR, "epochs": 10, "temperature": 1000.0}))
    assert caplog.text.count("cannot tell images apart") == 9


def test_the_warning_comes_after_every_epoch_even_if_killed_before_the_evaluation(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(monitor: Monitor) -> dict[str, float]:
        raise Killed

    run = replace(
        experiment(tmp_path, data, {**SIMCLR, "epochs": 2, "temperature": 1000.0, "monitor_every": 2}),
        checkpoint_minutes=0,
    )
    told = "that of an encoder that cannot tell images apart"
    with caplog.at_level(logging.WARNING, logger="triptych"):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(Monitor, "evaluate", killed)
            pretrain(run)
        assert caplog.text.count(told) == 2
        caplog.clear()
        pretrain(run)  # resumes between the last step and the evaluation
    assert caplog.text.count(told) == 1


# Wide enough, and in batches large enough, for kernels of ours, in whatever format the processor is fast.
FOR_KERNELS = {
    **SIMCLR,
    "architecture": {"module": "triptych.models.resnet", "options": {"width": 32}},
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
from colour_experiments import experiment
from test_ssl_simclr import FOR_KERNELS
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


def test_collapsed_features_are_noticed(tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="triptych"):
        pretrain(experiment(tmp_path, data, {**SIMCLR, "epochs": 3, "weight_decay": 15.0}))
    assert "the features have collapsed" in caplog.text
    assert any("the features have collapsed" in text for text in metrics(tmp_path)["warnings"])


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
        evaluations = epochs // every + (epochs % every > 0)
        return epochs * epoch_seconds + evaluations * monitor_seconds

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
    monkeypatch.setattr("triptych.ssl.epoch_budget.MIN_SECONDS", 0.2)
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
