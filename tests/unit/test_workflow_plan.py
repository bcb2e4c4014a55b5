"""Costs of a plan: sums, wall time of jobs that wait for each other, and what is not known."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.workflow.errors import TriptychError
from triptych.workflow.plan import PlannedJob, describe, wall_seconds
from triptych.workflow.rates import Rate, Work, read_rates, save_rates


def job(seconds: float, *needs: int, threads: int = 1, gpus: int = 0, amount: float = 1.0) -> PlannedJob:
    rate = Rate(0 if gpus else seconds * threads, seconds * gpus, 2e9, "here")
    return PlannedJob("train", Work("train: net", amount), rate, threads, gpus, needs)


def test_jobs_that_need_each_other_run_one_after_the_other() -> None:
    assert wall_seconds([job(3), job(4, 0), job(5, 1)], 8, 0) == 12


def test_independent_jobs_share_the_cores() -> None:
    assert wall_seconds([job(3)] * 4, 2, 0) == 6
    assert wall_seconds([job(3, threads=2)] * 4, 2, 0) == 12


def test_jobs_on_a_gpu_take_turns() -> None:
    assert wall_seconds([job(3, gpus=1)] * 4, 16, 1) == 12
    assert wall_seconds([job(3, gpus=1)] * 4, 16, 2) == 6


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_wall_time_lies_between_its_bounds(seconds: list[float], cores: int) -> None:
    wall = wall_seconds([job(each) for each in seconds], cores, 0)
    assert max(max(seconds), sum(seconds) / cores) <= wall + 1e-6
    assert wall <= sum(seconds) / cores + max(seconds) + 1e-6


def test_costs_are_the_rate_times_the_amount() -> None:
    text = describe([job(3600, amount=2.5), job(3600, gpus=1)], 2, 1)
    assert "   2       2.500      1.000     4.000  all" in text
    assert "Wall time on 2 cores and 1 GPU: about 2:30:00 (h:mm:ss)." in text


def test_jobs_of_unknown_cost_are_named_and_make_the_sums_lower_bounds() -> None:
    text = describe([job(3600), PlannedJob("map", Work("map: desk, recipe 123abc"), None)], 2, 0)
    assert "   1           ?          ?         ?  map: desk  unknown" in text
    assert "Wall time on 2 cores: at least 1:00:00" in text and "Not counted: 1 job of a kind" in text


def test_what_takes_long_or_is_unknown_comes_first_and_small_kinds_share_a_row() -> None:
    kinds = {
        "b": Rate(1, 0, None, "s"),
        "c": Rate(2, 0, None, "s"),
        "long": Rate(9e3, 0, None, "s"),
        "new": None,
    }
    jobs = [PlannedJob(name, Work(name), rate) for name, rate in kinds.items()]
    rows = [line.split()[4:5] for line in describe(jobs, 2, 0).splitlines()[1:5]]
    assert rows == [["new"], ["long"], ["others,"], ["all"]]


def test_rates_are_read_as_they_were_saved(tmp_path: Path) -> None:
    rates = {"train: net": Rate(0.0125, 0.0, 4.5e7, "2 jobs of this study")}
    save_rates(tmp_path / "rates.yaml", rates)
    read = read_rates(tmp_path / "rates.yaml")["train: net"]
    assert (read.core_seconds, read.bytes_per_job) == (0.0125, 4.5e7)
    assert read.source.startswith("2 jobs on ") and "20" in read.source


def test_every_shipped_rate_says_where_it_was_measured() -> None:
    for kind, rate in read_rates(None).items():
        assert ": " in kind and rate.core_seconds > 0
        assert "EPYC" in rate.source


@pytest.mark.parametrize("text", ["[1, 2]", "a: {speed: 3}", "a: [", "a: 7"])
def test_a_file_without_rates_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "rates.yaml").write_text(text)
    with pytest.raises(TriptychError, match="no file of rates"):
        read_rates(tmp_path / "rates.yaml")
