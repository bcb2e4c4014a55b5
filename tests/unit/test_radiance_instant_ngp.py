"""The instant-ngp backend, against a stand-in with the program's documented arguments and files."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sphere_scene import write_ball_scene
from test_scenes_masks import give_mask, save

from triptych.data.video import read_video
from triptych.radiance import instant_ngp
from triptych.radiance.flythrough import film_cameras
from triptych.radiance.instant_ngp import Program, gpu_visible
from triptych.radiance.instant_ngp_scene import evaluate_views, render_flythrough, train, write_dataset
from triptych.scenes.scene import Scene, read_scene
from triptych.workflow.errors import TriptychError

STANDIN = Path(__file__).parent / "instant_ngp"
PROGRAM = Program(str(STANDIN), sys.executable)
OPTIONS = {"seconds": 1, "fps": 4, "width": None}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return read_scene(write_ball_scene(tmp_path / "scene", images=6, side=24))


def trained(scene: Scene, folder: Path, steps: int = 40) -> Path:
    (folder / "training").mkdir()
    train(PROGRAM, scene, [1, 2, 3], folder / "snapshot.ingp", folder / "training", steps=steps)
    return folder / "snapshot.ingp"


def test_a_build_is_checked_and_tells_its_version() -> None:
    assert PROGRAM.check() == "2.0"


def test_a_folder_that_is_no_build_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match=r"instant_ngp\.root: .* has no scripts/run\.py; give the folder"):
        Program(str(tmp_path), sys.executable).check()


def test_an_older_version_is_refused_by_the_arguments_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    text = (STANDIN / "scripts/run.py").read_text().replace('"--width", "--screenshot_w"', '"--screenshot_w"')
    (tmp_path / "scripts/run.py").write_text(text)
    with pytest.raises(TriptychError, match=r"lacks --width; update instant-ngp"):
        Program(str(tmp_path), sys.executable).check()


def test_a_python_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(TriptychError, match=r"instant_ngp\.python: nopython .* give the path"):
        Program(str(STANDIN), "nopython").check()


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        ("no_bindings", r"No module named 'pyngp'; set instant_ngp\.python to the Python"),
        ("out_of_memory", r"CUDA_ERROR_OUT_OF_MEMORY; use a larger radiance\.downscale"),
    ],
)
def test_a_recorded_failure_is_one_line_with_what_to_do(
    recorded: str, message: str, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_FAILURE", str(STANDIN / f"failures/{recorded}.txt"))
    with pytest.raises(TriptychError, match=f"exit code 1: .*{message}") as failed:
        trained(scene, tmp_path)
    assert "\n" not in str(failed.value)
    assert not (tmp_path / "snapshot.ingp").exists()


def test_a_training_that_diverges_leaves_no_snapshot(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_LOSS", "nan")
    with pytest.raises(TriptychError, match="the loss is nan"):
        trained(scene, tmp_path)
    assert not (tmp_path / "snapshot.ingp").exists()


def test_a_stopped_job_stops_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/run.py").write_text("import time; print('begun', flush=True); time.sleep(60)")

    def stop(*_: object, **__: object) -> None:  # as the signal handler of a job does
        raise SystemExit(143)

    monkeypatch.setattr(instant_ngp.log, "info", stop)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        Program(str(tmp_path), sys.executable).run([], folder=tmp_path)
    assert time.monotonic() - began < 30


def test_it_trains_on_the_training_images_and_counts_their_steps(scene: Scene, tmp_path: Path) -> None:
    snapshot = json.loads(trained(scene, tmp_path, steps=120).read_text())
    assert snapshot["training_step"] == 120
    assert sorted(path.name for path in (tmp_path / "training").glob("*.png")) == [
        "001.png",
        "002.png",
        "003.png",
    ]


def test_it_sees_the_images_lenses_and_poses_in_use(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path / "scene", images=4, side=24)
    content = json.loads(path.read_text()) | {"k1": 0.01, "p2": -0.02}
    path.write_text(json.dumps(content))
    half = read_scene(path, downscale=2)
    again = read_scene(write_dataset(half, [0, 1, 2, 3], tmp_path))
    for name in ("focal", "centre", "distortion", "rotation", "position", "size"):
        torch.testing.assert_close(getattr(again.cameras, name), getattr(half.cameras, name))
    assert again.aabb_scale == half.aabb_scale
    assert Image.open(tmp_path / "002.png").size == (12, 12)


def test_masked_pixels_are_white_in_its_masks(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path / "scene", images=2, side=24)
    used = np.ones((24, 24), bool)
    used[:5] = False
    save(used, tmp_path / "scene/masks/000.png")
    give_mask(path, 0, "masks/000.png")
    write_dataset(read_scene(path), [0, 1], tmp_path)
    mask = np.array(Image.open(tmp_path / "dynamic_mask_000.png").convert("L"))
    assert ((mask == 0) == used).all() and not (tmp_path / "dynamic_mask_001.png").exists()


def test_a_fisheye_without_distortion_stays_a_fisheye(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path / "scene", images=2, side=24)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"is_fisheye": True}))
    frame = json.loads(write_dataset(read_scene(path), [0, 1], tmp_path).read_text())["frames"][0]
    assert frame["is_fisheye"] and 0 < frame["k1"] < 1e-6 and frame["k2"] == 0 and "p1" not in frame


def test_held_out_views_are_measured_as_those_of_the_own_backend(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    (tmp_path / "scratch").mkdir()
    snapshot = trained(scene, tmp_path)
    result = evaluate_views(
        PROGRAM, scene, snapshot, [0, 4], tmp_path / "views", tmp_path / "scratch", folder_name="views"
    )
    assert [view["name"] for view in result["views"]] == ["000", "004"]
    # 8 grey levels too bright, over black
    assert result["psnr"] == pytest.approx(-20 * np.log10(8 / 255), abs=0.05)
    for view in result["views"]:
        assert set(view) == {"name", "psnr", "ssim", "truth", "render", "error"}
        truth, render = (
            np.array(Image.open(tmp_path / view[kind])).astype(int) for kind in ("truth", "render")
        )
        assert np.median(render - truth) == 8


def test_the_film_follows_the_same_cameras_as_that_of_the_own_backend(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    snapshot = trained(scene, tmp_path)
    transforms = tmp_path / "scene/transforms.json"
    cameras, fps = film_cameras(transforms, scene, [1, 2, 3], name="ball", path=None, options=OPTIONS)
    render_flythrough(
        PROGRAM, cameras, snapshot, tmp_path / "film.mp4", tmp_path / "scratch", fps=fps, quality=20
    )
    path = json.loads((tmp_path / "scratch/path.json").read_text())
    assert path["camera_angle_x"] == pytest.approx(2 * np.arctan(0.5 / 1.2))
    assert len(path["frames"]) == 4 and path["w"] == 540
    assert len(list(read_video(tmp_path / "film.mp4"))) == 4


def test_a_path_whose_field_of_view_changes_is_refused(scene: Scene, tmp_path: Path) -> None:
    cameras = scene.cameras.select([0, 1])
    cameras.focal[1] *= 1.5
    with pytest.raises(TriptychError, match="differ in field of view"):
        render_flythrough(PROGRAM, cameras, tmp_path / "s", tmp_path / "f.mp4", tmp_path, fps=4, quality=20)


@pytest.mark.parametrize(
    ("listing", "hidden", "visible"),
    [("GPU 0: NVIDIA", None, True), ("GPU 0: NVIDIA", "", False), ("No devices were found", None, False)],
)
def test_a_gpu_is_visible_if_the_driver_lists_it_and_nothing_hides_it(
    listing: str, hidden: str | None, visible: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\necho '{listing}'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert gpu_visible() == visible


def test_without_a_driver_no_gpu_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not gpu_visible()


def test_planning_does_not_import_torch() -> None:
    code = "import sys, triptych.radiance.instant_ngp; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
