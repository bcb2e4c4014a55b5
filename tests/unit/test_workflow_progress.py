"""Progress lines as a batch job's log has them."""

import logging

import pytest

from triptych.workflow.progress import Progress, format_seconds


def test_a_line_has_share_rate_eta_images_per_second_and_fields(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO, logger="triptych"), Progress(40, "toy", every=0.0, images=64) as bar:
        monkeypatch.setattr("time.monotonic", lambda: bar._began + 10.0)
        bar.update(20, loss=0.5)
    line = caplog.messages[-1]
    assert line.startswith("toy: 20/40 (50 %), 2 step/s, ETA 0:00:10")
    assert "images/s=128" in line and line.endswith("loss=0.5")


def test_the_rate_of_a_resumed_run_is_that_of_its_own_steps() -> None:
    with Progress(100, "toy", start=50) as bar:
        bar.count += 10
        assert "60/100 (60 %), 5 step/s, ETA 0:00:08" in bar.line(bar._began + 2.0, {})


def test_the_eta_allows_for_later_units_that_take_longer() -> None:
    with Progress(100, "toy", start=40, cost=lambda count: count + 3.0 * max(count - 90, 0)) as bar:
        bar.count += 10
        # 50 units and the three more that each of the last ten takes, at five of the first a second
        assert "50/100 (50 %), 5 step/s, ETA 0:00:16" in bar.line(bar._began + 2.0, {})


def test_before_the_first_unit_the_eta_is_unknown() -> None:
    with Progress(100, "toy") as bar:
        assert "ETA ?" in bar.line(bar._began + 5.0, {})
    assert format_seconds(3725.4) == "1:02:05"


def test_more_units_than_were_expected_are_never_more_than_all() -> None:
    with Progress(59, "toy") as bar:
        for _ in range(70):
            bar.update()
        assert "70/70 (100 %)" in bar.line(bar._began + 2.0, {})
        assert "ETA 0:00:00" in bar.line(bar._began + 2.0, {})
