"""What tests of the compiled kernels share.

Every test runs on every machine: where an instruction is missing, it is emulated. The processes of the test
suite run the kernels of this machine's tier; test_kernels_emulated.py runs the tests in the others.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from cpu_features import pretend_cpu_has
from torch import Tensor

from triptych.kernels import gemm

TIER = "amx_bf16" if gemm.AMX else "avx512_bf16"  # that bfloat16 kernels of this process are compiled for
Result = TypeVar("Result")


@pytest.fixture
def bfloat16_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers use the kernels of `TIER` in bfloat16, even if the CPU lacks the instructions."""
    pretend_cpu_has(monkeypatch, TIER, "avx2")


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(found: Tensor, exact: Tensor) -> float:
    """The norm of the difference over the norm of what is right."""
    return ((found - exact).norm() / exact.norm()).item()


def on_threads(count: int, function: Callable[[], Result]) -> Result:
    """The result of a function on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return function()
    finally:
        torch.set_num_threads(before)


def assert_scratch_memory_is_kept(program: str) -> None:
    """Run a program that gives every freed block of a page or more back to the system at once.

    A kernel that still uses one crashes.
    """
    program = f"import ctypes\nctypes.CDLL(None).mallopt(-3, 4096)  # M_MMAP_THRESHOLD\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
