"""Visits of the page of a fabricated study.

Needs a Chromium on the PATH. Without one the tests are skipped, or fail where
TRIPTYCH_REQUIRE_BROWSER=1 says that there must be one.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> str:
    """The path of a Chromium."""
    if executable := next(filter(None, map(shutil.which, NAMES)), None):
        return executable
    message = f"no browser: none of {', '.join(NAMES)} is on the PATH"
    if os.environ.get("TRIPTYCH_REQUIRE_BROWSER") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(study_results: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    # Away from the results: what the page needs must be in the page.
    alone = tmp_path_factory.mktemp("mailed") / "report.html"
    shutil.copy(study_results / "report/index.html", alone)
    return alone.as_uri()


@dataclass
class Visit:
    """A page, with its messages, errors and requests."""

    page: Page
    address: str
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    visit = Visit(page, address)
    page.on("console", lambda message: visit.messages.append(message.text))
    page.on("pageerror", lambda error: visit.messages.append(str(error)))
    page.on("requestfailed", lambda request: visit.messages.append(f"failed: {request.url[:80]}"))
    page.on("request", lambda request: visit.requests.append(request.url))
    page.goto(address)
    yield visit
    page.close()
