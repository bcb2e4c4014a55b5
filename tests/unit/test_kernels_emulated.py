"""The tests of the matrix kernels, in the tiers that this machine's own test processes do not run.

Instructions that the CPU lacks are emulated: the same sources, compiled to plain loops where they use them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_cases import TIER

from triptych.kernels import registry

FILES = ("test_kernels_gemm.py", "test_kernels_transformer.py", "test_kernels_conv.py")
OTHERS = [tier for tier in ("amx_bf16", "avx512_bf16") if tier != TIER]


@pytest.mark.parametrize("tier", OTHERS)
@pytest.mark.parametrize("file", FILES)
def test_kernels_of_other_tiers(tier: str, file: str) -> None:
    emulated = "" if registry._has(tier) else tier
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not float32_network"),
            str(Path(__file__).with_name(file)),
        ],
        env={**os.environ, registry.SETTING: tier, registry.EMULATE: emulated},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0 and "skipped" not in run.stdout, run.stdout
