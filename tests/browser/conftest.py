"""The browser tests share the fabricated study of the unit tests; screenshots of its page are kept."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit")]

from report_visit import address, browser, visit  # noqa: E402

__all__ = ["address", "browser", "visit"]
SCREENSHOTS = Path(__file__).parents[2] / "results/screenshots"  # nothing of it is in the repository


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder of the screenshots, which is named at the end."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SCREENSHOTS.is_dir():
        terminalreporter.write_line(f"screenshots of the page: {SCREENSHOTS}")
