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

from triptych.training.distributed import gather_views, own_share, rank, world_size
from triptych.training.sync_batch_norm import SyncBatchNorm, synchronise_batch_norm
from triptych.training.workers import run_workers
from triptych.workflow.errors import TriptychError


@pytest.fixture(scope="module")
def visit() -> dict[str, Any]:
    """What two workers computed, and what they logged."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("triptych")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        seen = run_workers(on_workers.everything, (), workers=2, device_type="cpu")
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    return {**seen, "records": records}


def close(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "name", "tolerance"), [(torch.float32, "run", 1e-5), (torch.float64, "run_float64", 1e-10)]
)
def test_loss_gradients_and_statistics_equal_those_of_one_process(
    visit: dict[str, Any], dtype: torch.dtype, name: str, tolerance: float
) -> None:
    alone, two = on_workers.contrastive_run(dtype), visit[name]
    close(two["losses"], alone["losses"], 1e-5)  # the loss itself is float32
    assert alone["first_gradients"].keys() == two["first_gradients"].keys()
    for name, gradient in alone["first_gradients"].items():
        close(two["first_gradients"][name], gradient, tolerance)
    assert any(name.endswith("running_var") for name in alone["state"])
    assert alone["state"].keys() == two["state"].keys()
    for name, value in alone["state"].items():
        close(two["state"][name], value, tolerance)


def test_bfloat16_activations_are_normalised_in_float32(visit: dict[str, Any]) -> None:
    alone, two = on_workers.bfloat16_norm(), visit["bfloat16"]
    assert two["output"].dtype == alone["output"].dtype == torch.bfloat16
    close(two["output"], alone["output"], 2**-7)  # the last bit
    close(two["gradients"], alone["gradients"], 2**-7)
    close(two["variance"], alone["variance"])


def test_the_same_run_gives_the_same_bits_on_both_workers_and_again(visit: dict[str, Any]) -> None:
    assert visit["share_with_the_same_bits"] == 1


def test_losses_over_own_shares_average_to_the_loss_of_the_batch(visit: dict[str, Any]) -> None:
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


def test_work_is_shared_by_its_cost_and_its_results_are_everyones(visit: dict[str, Any]) -> None:
    shared = visit["shared_work"]
    assert shared["squares"] == [1, 4, 9, 16, 25]
    assert shared["done"] == [3] and shared["sum_of_others"] == 1 + 2 + 4 + 5


def test_muon_takes_the_steps_of_one_process(visit: dict[str, Any]) -> None:
    for two, alone in zip(visit["muon"], on_workers.muon_run(), strict=True):
        close(two, alone)
    assert visit["muon_with_the_same_bits"] == 1


def test_synchronised_norm_equals_batch_norm_of_the_whole_batch(visit: dict[str, Any]) -> None:
    assert visit["norm_difference"] < 1e-12


def test_worker_0_alone_logs_and_decides(visit: dict[str, Any]) -> None:
    assert visit["records"] == ["worker 0 at work"]
    assert visit["rank_of_zero"] == 0
    assert visit["world_size"] == 2
    assert visit["threads"] == max(1, torch.get_num_threads() // 2)


def test_one_worker_is_this_process_without_a_group() -> None:
    pid, workers, number = run_workers(
        lambda: (os.getpid(), world_size(), rank()), (), workers=1, device_type="cpu"
    )
    assert (pid, workers, number) == (os.getpid(), 1, 0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    norm = model[1]
    assert synchronise_batch_norm(model, torch.device("cpu"))[1] is norm
    z = torch.randn(4, 3)
    assert gather_views(z, views=2) is z
    assert torch.equal(own_share(z), z)


@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 4), (2, 3, 2, 2)])
def test_gradient_of_the_norm_is_that_of_finite_differences(shape: tuple[int, ...]) -> None:
    norm = SyncBatchNorm(shape[1], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True)
        for size in (shape, shape[1:2], shape[1:2])
    )

    def call(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(call, (x, weight, bias))


def test_the_norms_statistics_survive_a_mean_far_from_zero() -> None:
    x = 1e4 + torch.randn(256, 1, generator=torch.Generator().manual_seed(0))
    norm = SyncBatchNorm(1, momentum=1.0)
    norm(x)
    close(norm.running_var, x.double().var(0).float(), 1e-3)


def test_conversion_keeps_parameters_names_and_modes(visit: dict[str, Any]) -> None:
    assert visit["conversion"] == dict.fromkeys(visit["conversion"], True)


def test_in_eval_mode_the_norm_is_batch_norm() -> None:
    norm = SyncBatchNorm(3)
    norm(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    reference = nn.BatchNorm2d(3)
    reference.load_state_dict(norm.state_dict())
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(norm.eval()(x), reference.eval()(x))


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
        while parent.poll() is None:  # the first SIGINT only asks for a checkpoint
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
    with pytest.raises(TriptychError, match=rf"^gpus is {wanted} but {wanted - 2} can be seen"):
        run_workers(print, (), workers=wanted, device_type="cuda")
    with pytest.raises(TriptychError, match="device 'mps' can have one worker only"):
        run_workers(print, (), workers=2, device_type="mps")


def test_a_batch_that_cannot_be_shared_equally_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.training.distributed.world_size", lambda: 3)
    with pytest.raises(TriptychError, match="batch of 8 images cannot be shared equally by 3 workers"):
        own_share(torch.arange(8))
