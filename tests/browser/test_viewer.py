"""The viewer in a real browser: its server runs as a user starts it, the mouse moves the camera.

Needs a Chromium on the PATH, which draws WebGL in software. Without one the tests are skipped, or
fail where TRIPTYCH_REQUIRE_BROWSER=1 says that there must be one.
"""

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from ball_field import write_ball_results
from PIL import Image
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from report_visit import find_browser

from triptych.scenes.keyframes import read_camera_path

OPTIONS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
# Warnings that are none of the project's: three.js about a class that viser uses, and the driver of
# the software WebGL about screenshots, which read pixels back.
BENIGN = ("THREE.Clock: This module has been deprecated", "GPU stall due to ReadPixels")
PATIENCE = 60_000  # milliseconds: rendering and WebGL share the processor with all else
LEFT = {"x": 0, "y": 200, "width": 380, "height": 300}  # of the canvas: clear of panel and notes


@dataclass
class Viewer:
    """The page, its server and what was complained about."""

    page: Page
    server: subprocess.Popen[str]
    folder: Path
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error") and not any(text in message.text for text in BENIGN):
            self.complaints.append(message.text)

    def picture(self) -> np.ndarray:
        """What the left part of the canvas shows, (h, w, 3)."""
        shot = self.page.screenshot(clip=LEFT)
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)

    def wait_for(self, what: Callable[[np.ndarray], bool]) -> np.ndarray:
        """The picture, once it is as it should be."""
        for _ in range(PATIENCE // 500):
            if what(picture := self.picture()):
                return picture
            self.page.wait_for_timeout(500)
        raise AssertionError("the picture never came to be as it should")

    def until_sharp(self) -> None:
        """Wait until the picture is sharp and stays so: just after a change it still says what was before."""
        sharp = self.page.get_by_text(re.compile("pixels, sharp$"))
        for _ in range(PATIENCE // 1000):
            expect(sharp).to_be_visible(timeout=PATIENCE)
            self.page.wait_for_timeout(1000)
            if sharp.is_visible():
                return
        raise AssertionError("the picture never came to rest")

    def drag(self, across: int, down: int = 0) -> None:
        mouse = self.page.mouse
        mouse.move(200, 350)
        mouse.down()
        mouse.move(200 + across, 350 + down, steps=8)
        mouse.up()


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    executable = find_browser()
    folder = tmp_path_factory.mktemp("study")
    scene = write_ball_results(folder / "results/scenes/ball")
    command = [sys.executable, "-m", "triptych.view", str(scene), "--port", "0", "--max-width", "400"]
    with (
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
            page = browser.new_page(viewport={"width": 800, "height": 560})
            page.set_default_timeout(PATIENCE)
            viewer = Viewer(page, server, folder)
            page.on("console", viewer.hear)
            page.on("pageerror", lambda error: viewer.complaints.append(str(error)))
            page.on("requestfailed", lambda request: viewer.complaints.append(request.url[:80]))
            page.goto(f"{address[0]}/?fixedDpr=1")  # else slow drawing changes the canvas as it goes
            yield viewer
            browser.close()
        finally:
            server.terminate()


def shows_the_ball(picture: np.ndarray) -> bool:
    """The right of the left part lies on the ball, its left edge beside it."""
    return bool(picture[100:200, 320:].max(axis=-1).mean() > 60 and picture[:, :20].max() < 12)


def test_the_page_opens_with_a_picture_that_sharpens(viewer: Viewer) -> None:
    expect(viewer.page.locator("canvas").first).to_be_visible()
    viewer.wait_for(shows_the_ball)
    viewer.until_sharp()
    expect(viewer.page.get_by_text("400 × 280 pixels, sharp")).to_be_visible()


def test_the_panel_has_its_controls(viewer: Viewer) -> None:
    page = viewer.page
    for label in ("Show", "Frames/s", "View angle", "Cameras", "Sparse points", "Seconds"):
        expect(page.get_by_text(label, exact=True)).to_be_visible()
    for name in ("Reset the view", "Level the horizon", "Add", "Remove last", "Clear", "Play / stop", "Save"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_attached()
    expect(page.get_by_text("0 keyframes")).to_be_visible()


def test_dragging_moves_the_camera_and_rest_sharpens(viewer: Viewer) -> None:
    viewer.until_sharp()
    before = viewer.picture()
    viewer.drag(120, 40)
    viewer.wait_for(lambda picture: np.abs(picture - before).mean() > 5)
    viewer.until_sharp()
    assert shows_the_ball(viewer.picture())  # the camera turns around the middle


def test_no_drag_loses_the_scene(viewer: Viewer) -> None:
    """Right-handed and long ones, over the top as well: the camera stays around the ball."""
    for across, down in ((500, 0), (0, 300), (-300, -500), (150, 700)):
        viewer.drag(across, down)
        viewer.wait_for(shows_the_ball)


def test_the_view_is_reset(viewer: Viewer) -> None:
    page = viewer.page
    page.mouse.move(200, 350)
    page.mouse.down(button="right")
    page.mouse.move(700, 350, steps=8)
    page.mouse.up(button="right")
    viewer.wait_for(lambda picture: not shows_the_ball(picture))  # it has moved sideways
    page.get_by_role("button", name="Reset the view", exact=True).click()
    viewer.wait_for(shows_the_ball)


def test_the_wheel_zooms(viewer: Viewer) -> None:
    viewer.until_sharp()
    bright = (viewer.picture().max(axis=-1) > 40).mean()
    viewer.page.mouse.move(200, 350)
    for _ in range(12):  # a slow browser takes several steps for one
        viewer.page.mouse.wheel(0, 240)
        viewer.until_sharp()
        if (viewer.picture().max(axis=-1) > 40).mean() < 0.7 * bright:
            return
    raise AssertionError("the ball never became smaller")


def test_opacity_is_shown_in_white(viewer: Viewer) -> None:
    viewer.page.get_by_role("combobox", name="Show").click()
    viewer.page.get_by_role("option", name="opacity").click()
    viewer.wait_for(lambda picture: (picture.min(axis=-1) > 240).mean() > 0.02)
    viewer.page.get_by_role("combobox", name="Show").click()
    viewer.page.get_by_role("option", name="colour").click()
    viewer.wait_for(lambda picture: (picture.min(axis=-1) > 240).mean() < 0.01)


def test_overlays_come_and_go_and_the_ball_hides_half_of_them(viewer: Viewer) -> None:
    def white(picture: np.ndarray) -> float:
        """Share of pixels that show a sparse point: they are white, all around the ball."""
        return float((picture.min(axis=-1) > 200).mean())

    viewer.until_sharp()
    viewer.wait_for(lambda picture: white(picture) < 1e-4)
    viewer.page.get_by_label("Sparse points").check()
    viewer.wait_for(lambda picture: white(picture) > 2e-4)
    viewer.page.get_by_label("Sparse points").uncheck()
    viewer.wait_for(lambda picture: white(picture) < 1e-4)


def test_a_recorded_path_is_saved(viewer: Viewer) -> None:
    page = viewer.page
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("add at least two keyframes")).to_be_visible()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("1 keyframe", exact=True)).to_be_visible()
    viewer.drag(-150)
    viewer.until_sharp()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("2 keyframes")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("saved to")).to_be_visible()
    path = read_camera_path(viewer.folder / "camera_paths/ball.json")
    assert len(path.keyframes) == 2
    first, second = (keyframe.pose for keyframe in path.keyframes)
    assert np.linalg.norm(first[:3, 3] - second[:3, 3]) > 0.3
    assert path.aspect == pytest.approx(800 / 560, abs=0.01)


def test_nothing_was_complained_about(viewer: Viewer) -> None:
    assert viewer.complaints == []
    assert viewer.server.poll() is None
