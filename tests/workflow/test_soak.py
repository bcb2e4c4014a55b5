"""Ten runs that are killed at random moments; `make soak` kills a hundred, of more kinds of jobs."""

from pathlib import Path

import pytest
from soak import soak


@pytest.mark.slow
def test_killed_runs_leave_nothing_behind_and_end_with_the_same_bits(tmp_path: Path) -> None:
    assert soak(tmp_path, kills=10, seed=0, kinds=("simclr", "workers"), each=5) == 0
