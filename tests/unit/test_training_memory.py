"""A batch that does not fit, in a process whose memory is really limited."""

import os
import re
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from triptych.training import memory
from triptych.training.memory import largest_that_fits, out_of_memory_advice
from triptych.workflow.errors import TriptychError, is_out_of_memory

LIMITED = """
import sys
sys.path.insert(0, sys.argv[1])
from limited_training import train_in_limited_memory
from triptych.workflow.errors import TriptychError

try:
    print(train_in_limited_memory(sys.argv[2], *map(int, sys.argv[3:])))
except TriptychError as error:
    print(error)
"""


LIMITED_PLAN = """
import sys
from pathlib import Path
import numpy as np
import torch
sys.path.insert(0, sys.argv[1])
from limited_training import limit_memory
from colour_experiments import SIMCLR
from triptych.ssl import epoch_budget as budget
from triptych.data.packed import LabelledImages, load_packed, save_packed
from triptych.workflow.errors import TriptychError

budget.keep_large_allocations, budget.MIN_SECONDS = lambda: None, 0.0
torch.backends.mkldnn.set_flags(False)  # it wants memory of its own, for code, and says so less clearly
torch.set_num_threads(1)

def plan(batch_size):
    folder = Path(sys.argv[2]) / str(batch_size)
    labels = np.arange(batch_size) % 2
    images = np.zeros((batch_size, 16, 16, 3), np.uint8)
    arrays = LabelledImages(images, labels, images[:2], labels[:2], classes=("a", "b"), source={})
    save_packed(folder, arrays, name="black", provenance={})
    recipe = {**SIMCLR, "minutes": 100, "batch_size": batch_size}
    budget.measure_plan(recipe, load_packed(folder), torch.device("cpu"))

plan(64)  # what starts with the first step is in memory now
limit_memory(190)
try:
    plan(4096)
except TriptychError as error:
    print(error)
"""


def advise(batch_size: int, accumulate: int) -> AbstractContextManager[None]:
    return out_of_memory_advice(
        lambda size: None,
        label="toy",
        device=torch.device("cpu"),
        batch_size=batch_size,
        accumulate=accumulate,
    )


def in_limited_memory(folder: Path, *numbers: int, script: str = LIMITED) -> str:
    """What a new process says that runs the script."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(folder), *map(str, numbers)],
        capture_output=True,
        text=True,
        check=False,
        # Every arena of glibc reserves 64 MiB of the address space that is limited here.
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc and RLIMIT_AS of Linux")
def test_a_batch_beyond_the_memory_is_an_error_that_names_what_fits_and_that_is_true(tmp_path: Path) -> None:
    # 16384 x 4096 float32 values are 256 MiB, and a step holds four such arrays at once: of 190 MiB, 2048
    # images need 128 and 4096 need 256, so that some MiB more or less decide nothing.
    error = in_limited_memory(tmp_path, 190, 16384, 2)
    found = re.fullmatch(
        r"toy: out of memory on cpu with batch_size 16384 in 2 micro-batches; (\d+) images at a time fit: "
        r"set batch_size: (\d+), or accumulate: (\d+) to keep the batch size",
        error,
    )
    assert found is not None, error
    fits, smaller, accumulate = map(int, found.groups())
    assert 128 <= fits <= 4096 and smaller == fits * 2 and accumulate * fits == 16384
    assert in_limited_memory(tmp_path, 190, smaller, 2) == "fits"
    assert in_limited_memory(tmp_path, 190, 16384, accumulate) == "fits"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc and RLIMIT_AS of Linux")
def test_a_plan_of_epochs_names_what_fits_as_well(tmp_path: Path) -> None:
    told = in_limited_memory(tmp_path, script=LIMITED_PLAN)
    assert re.fullmatch(
        r"simclr: out of memory on cpu with batch_size 4096; (\d+) images at a time fit: "
        r"set batch_size: \1, or accumulate: \d+ to keep the batch size",
        told,
    ), told


def test_the_largest_half_that_fits_is_found() -> None:
    def attempt(size: int) -> None:
        tried.append(size)
        if size > 12:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    tried: list[int] = []
    assert largest_that_fits(attempt, 100) == 12
    assert tried == [50, 25, 12]
    assert largest_that_fits(lambda size: attempt(100), 100) == 0


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    def broken(size: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        largest_that_fits(broken, 100)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("posix_memalign failed:Cannot allocate memory (12)"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "fits", "advice"),
    [
        (100, 1, 12, "12 images at a time fit: set batch_size: 12, or accumulate: 9 to keep the batch size"),
        (5, 1, 2, "2 images at a time fit: set batch_size: 2"),  # one of three micro-batches would be of 1
        (8, 2, 0, "no smaller batch was found to fit either: use a smaller model or smaller images"),
    ],
)
def test_only_what_a_recipe_may_have_is_advised(
    batch_size: int, accumulate: int, fits: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "largest_that_fits", lambda attempt, size: fits)
    with pytest.raises(TriptychError) as caught, advise(batch_size, accumulate):
        raise MemoryError
    split = " in 2 micro-batches" if accumulate == 2 else ""
    assert str(caught.value) == f"toy: out of memory on cpu with batch_size {batch_size}{split}; {advice}"


def test_several_workers_are_advised_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "world_size", lambda: 2)
    told = "with batch_size 64 over 2 workers; lower batch_size, or raise accumulate to keep it"
    with pytest.raises(TriptychError, match=told), advise(64, 1):
        raise MemoryError
