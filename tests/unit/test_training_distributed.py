"""Data-parallel workers: the same numbers as one process, and a clean end whatever happens."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import distributed_workers as on_workers
import pytest
import torch
from torch import Tensor, nn
from toy_training import STEPS as TOY_STEPS
from toy_training import kill, same, train

from triptych.training.distributed import data_parallel, gather_views, rank, shard, world_size
from triptych.training.loop import Fitted
from triptych.training.workers import run_workers
from triptych.workflow.errors import TriptychError


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two workers computed and trained, and what they logged."""
    folder = tmp_path_factory.mktemp("pair")
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("triptych")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        seen = run_workers(on_workers.everything, (folder, STILL, NOISY), workers=2, device_type="cpu")
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    return {**seen, "records": records, "folder": folder}


def close(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "name", "tolerance"), [(torch.float32, "run", 1e-5), (torch.float64, "run_float64", 1e-10)]
)
def test_loss_gradients_and_weights_equal_those_of_one_process(
    visit: dict[str, Any], dtype: torch.dtype, name: str, tolerance: float
) -> None:
    alone, two = on_workers.contrastive_run(dtype), visit[name]
    close(two["losses"], alone["losses"], 1e-5)  # the loss itself is float32
    assert alone["first_gradients"].keys() == two["first_gradients"].keys()
    for name, gradient in alone["first_gradients"].items():
        close(two["first_gradients"][name], gradient, tolerance)
    assert alone["state"].keys() == two["state"].keys()
    for name, value in alone["state"].items():
        close(two["state"][name], value, tolerance)


def test_the_same_run_gives_the_same_bits_on_both_workers_and_again(visit: dict[str, Any]) -> None:
    assert visit["fraction_with_the_same_bits"] == 1


def test_losses_over_shards_average_to_the_loss_of_the_batch(visit: dict[str, Any]) -> None:
    alone = on_workers.supervised_gradients()
    assert alone.keys() == visit["supervised"].keys()
    for name, gradient in alone.items():
        close(visit["supervised"][name], gradient)


def test_gather_keeps_the_order_and_sums_the_gradients_of_all_workers(visit: dict[str, Any]) -> None:
    assert visit["gathered"].tolist() == [[0, 1], [2, 3], [10, 11], [12, 13]]
    # Worker 0 weighs its rows by 1..4, worker 1 by twice that.
    assert visit["gathered_gradient"].tolist() == [[3, 6], [9, 12]]


def test_views_are_gathered_view_by_view(visit: dict[str, Any]) -> None:
    # Images 0, 1 belong to worker 0 and 2, 3 to worker 1; the second view adds 10.
    assert visit["views"].flatten().tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_batch_norm_over_several_workers_is_refused_on_a_cpu(visit: dict[str, Any]) -> None:
    assert visit["refused_batch_norm"] == (
        "gpus is 2, but batch norm over several workers needs CUDA, not device 'cpu'; "
        "set gpus: 1, which uses all threads of a CPU"
    )


def test_worker_0_alone_logs_and_decides(visit: dict[str, Any]) -> None:
    assert visit["records"][0] == "worker 0 at work"
    assert not any("worker 1" in record for record in visit["records"])
    assert visit["rank_of_zero"] == 0
    assert visit["world_size"] == 2
    assert visit["threads"] == max(1, torch.get_num_threads() // 2)


def test_one_worker_is_this_process_without_a_group() -> None:
    pid, workers, number = run_workers(
        lambda: (os.getpid(), world_size(), rank()), (), workers=1, device_type="cpu"
    )
    assert (pid, workers, number) == (os.getpid(), 1, 0)
    model = nn.BatchNorm1d(3)
    assert data_parallel(model) is model
    z = torch.randn(4, 3)
    assert gather_views(z, views=2) is z
    assert torch.equal(shard(z), z)


def test_a_workers_error_is_the_jobs_error_and_ends_the_others() -> None:
    with pytest.raises(TriptychError) as caught:
        run_workers(on_workers.fail_on, (1, "triptych"), workers=2, device_type="cpu")
    assert str(caught.value) == "simclr: the loss is nan; lower learning_rate"


def test_a_defect_keeps_its_type_and_traceback() -> None:
    with pytest.raises(KeyError) as caught:
        run_workers(on_workers.fail_on, (0, "defect"), workers=2, device_type="cpu")
    assert "in worker 1 of 2" in caught.value.__notes__[0]
    assert "in fail_on" in caught.value.__notes__[0]


def test_a_killed_worker_is_one_clear_line() -> None:
    with pytest.raises(TriptychError, match=r"^worker 2 of 2 was killed \(SIGKILL\).*lower batch_size"):
        run_workers(on_workers.fail_on, (1, "kill"), workers=2, device_type="cpu")


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import distributed_workers, signal\n"
        # whoever starts the tests in the background has it ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from triptych.training.workers import run_workers\n"
        f"run_workers(distributed_workers.wait_forever, ({str(tmp_path)!r},), workers=2, device_type='cpu')"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    try:
        files = [tmp_path / f"{number}.pid" for number in range(2)]
        deadline = time.monotonic() + 120
        while not all(file.exists() and file.read_text() for file in files):
            assert parent.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        pids = [int(file.read_text()) for file in files]
        assert all(map(running, pids))
        deadline = time.monotonic() + 20
        while parent.poll() is None:  # the first SIGINT only requests a checkpoint
            assert time.monotonic() < deadline
            parent.send_signal(how)
            time.sleep(0.2)
        while any(map(running, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()


def test_too_few_gpus_are_named() -> None:
    wanted = torch.cuda.device_count() + 2
    with pytest.raises(TriptychError, match=rf"^gpus is {wanted} but {wanted - 2} are visible"):
        run_workers(print, (), workers=wanted, device_type="cuda")
    with pytest.raises(TriptychError, match="device 'mps' supports one worker only"):
        run_workers(print, (), workers=2, device_type="mps")


def test_a_batch_that_cannot_be_divided_equally_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.training.distributed.world_size", lambda: 3)
    with pytest.raises(TriptychError, match="batch of 8 images cannot be divided equally among 3 workers"):
        shard(torch.arange(8))


STILL = {"dropout": 0.0, "noise": 0.0, "epochs": 2, "clip_norm": 0.5, "ema": 0.9, "accumulate": 2}
NOISY = {"epochs": 2, "optimizer": "muon"}


def train_pair(folder: Path, **options: object) -> tuple[nn.Module, Fitted]:
    return run_workers(on_workers.train_as_worker, (folder, options), workers=2, device_type="cpu")


def test_two_workers_take_the_steps_of_one_process_with_the_same_batch(
    tmp_path: Path, visit: dict[str, Any]
) -> None:
    pair, fitted = visit["still"]
    single, reference = train(tmp_path, norm=False, **STILL)  # type: ignore[arg-type]
    for row, expected in zip(fitted.rows, reference.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
    for a, b in zip(pair.parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert (visit["folder"] / "still/history.csv").read_text().count("\n") == 3
    assert len(list((visit["folder"] / "still/tensorboard").iterdir())) == 1


def test_workers_that_are_killed_resume_to_the_same_bits(tmp_path: Path, visit: dict[str, Any]) -> None:
    with pytest.raises(TriptychError, match=r"^worker 1 of 2 was killed \(SIGKILL\)"):
        train_pair(tmp_path, evaluate=kill, every=0.0, **NOISY)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert same(train_pair(tmp_path, **NOISY)[0], visit["noisy"][0])


def test_two_workers_that_are_terminated_save_the_step_they_have_reached(
    tmp_path: Path, visit: dict[str, Any]
) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from toy_training import stop_all; from test_training_distributed import train_pair;"
        f"train_pair(Path(sys.argv[2]), evaluate=stop_all, delay=0.02, **{NOISY})"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]
    # The signal reaches all processes of the group, as that of a scheduler does.
    stopped = subprocess.run(command, check=False, start_new_session=True)
    assert stopped.returncode == 128 + signal.SIGTERM
    (saved,) = (tmp_path / "checkpoints").glob("step-*.pt")
    assert TOY_STEPS <= int(saved.stem.removeprefix("step-")) < 2 * TOY_STEPS, "it must stop at once"
    assert same(train_pair(tmp_path, **NOISY)[0], visit["noisy"][0])
