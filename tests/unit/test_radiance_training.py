"""From images with known poses to pictures: quality, files."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from ball_training import RECIPE, SHORT, changed, run
from PIL import Image
from sphere_scene import write_ball_scene

from triptych.radiance.composite import over
from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.flythrough import render_flythrough
from triptych.radiance.metrics import image_psnr, image_ssim, psnr
from triptych.radiance.model import RayBatch
from triptych.radiance.ray_sampler import RaySampler, read_images
from triptych.radiance.render import render_image
from triptych.radiance.snapshot import load_field, save_field
from triptych.radiance.train import TrainingResult
from triptych.radiance.trainer import Trainer, next_ray_count
from triptych.scenes.camera_path import camera_path
from triptych.scenes.scene import Scene, read_scene
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_scene(write_ball_scene(tmp_path_factory.mktemp("ball") / "scene"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def trained(scene: Scene, folder: Path) -> TrainingResult:
    return run(scene, RECIPE, folder)


def test_a_small_scene_is_learnt_in_seconds(scene: Scene, trained: TrainingResult, tmp_path: Path) -> None:
    result = evaluate_views(scene, trained.radiance, scene.split(8)[1], tmp_path, folder_name="views")
    assert result["psnr"] > 25
    assert result["ssim"] > 0.85
    assert [view["name"] for view in result["views"]] == ["000", "008", "016", "024", "032"]
    for view in result["views"]:
        truth, render = (
            np.asarray(Image.open(tmp_path / Path(view[kind]).name)) for kind in ("truth", "render")
        )
        assert psnr(float(np.mean((render / 255 - truth / 255) ** 2))) == pytest.approx(view["psnr"], abs=0.2)
        assert Image.open(tmp_path / Path(view["depth"]).name).size == (40, 40)


def test_depth_is_the_distance_to_the_ball(scene: Scene, trained: TrainingResult) -> None:
    picture = render_image(trained.radiance, scene.cameras, 0)
    assert picture.depth[20, 20].item() == pytest.approx((3.0 - 0.9) * 0.33, abs=0.05)
    assert picture.opacity[20, 20] > 0.95
    assert picture.opacity[0, 0] < 0.1


def test_most_of_an_empty_box_is_skipped(trained: TrainingResult) -> None:
    assert trained.radiance.occupancy.fraction() < 0.4


def test_history_holds_the_curves(trained: TrainingResult, folder: Path) -> None:
    lines = (folder / "history.csv").read_text().splitlines()
    assert lines[0].startswith("step,seconds,train_loss,train_psnr,learning_rate,rays_per_step")
    assert [line.split(",")[0] for line in lines[1:]] == ["50", "100", "150", "200", "250", "300"]
    assert any((folder / "tensorboard").iterdir())
    assert trained.metrics["steps"] == 300


def test_fog_that_only_training_cameras_see_as_the_object_is_warned_of(
    trained: TrainingResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_ball_scene(tmp_path / "turned", images=12)
    content = json.loads(path.read_text())
    poses = [frame["transform_matrix"] for frame in content["frames"]]
    for number, frame in enumerate(content["frames"]):
        frame["transform_matrix"] = poses[5 * number % 12]
    path.write_text(json.dumps(content))
    result = run(read_scene(path), RECIPE, tmp_path)
    assert result.metrics["train_psnr"] - result.metrics["heldout_psnr"] > 6
    assert "Did the object turn before a still background? Then give masks" in caplog.text
    assert trained.metrics["train_psnr"] - trained.metrics["heldout_psnr"] < 6


def test_a_time_budget_ends_the_training(scene: Scene, tmp_path: Path) -> None:
    result = run(scene, changed(SHORT, steps=None, minutes=0.01), tmp_path)
    assert 0.6 <= result.metrics["training_seconds"] < 5


Files = tuple[Path, Path]


@pytest.fixture
def files(trained: TrainingResult, tmp_path: Path) -> Files:
    """A saved field: weights and description."""
    files = tmp_path / "field.safetensors", tmp_path / "field.json"
    save_field(*files, trained.radiance, holdout=8)
    return files


def test_a_saved_field_shows_the_same_picture(scene: Scene, trained: TrainingResult, files: Files) -> None:
    loaded = load_field(*files, device=CPU)
    before, after = (render_image(field, scene.cameras, 1) for field in (trained.radiance, loaded))
    assert torch.equal(before.colour, after.colour)
    assert torch.equal(before.depth, after.depth)
    assert json.loads(files[1].read_text())["holdout"] == 8


@pytest.mark.parametrize(
    ("trained_in", "rendered_in"), [("float32", "float32"), ("auto", "auto"), ("float16", "auto")]
)
def test_a_saved_field_is_rendered_in_the_precision_of_its_training(
    trained: TrainingResult, files: Files, trained_in: str, rendered_in: str
) -> None:
    save_field(*files, replace(trained.radiance, precision=trained_in))
    assert load_field(*files, device=CPU).precision == rendered_in
    assert load_field(*files, device=CPU, precision="float32").precision == "float32"


def test_fields_of_older_versions_name_their_modules(trained: TrainingResult, files: Files) -> None:
    about = json.loads(files[1].read_text())
    for modules in ("torch", "tiny-cuda-nn"):
        files[1].write_text(json.dumps(about | {"shape": about["shape"] | {"modules": modules}}))
        if modules == "torch":
            assert load_field(*files, device=CPU).field.shape == trained.radiance.field.shape
        else:
            with pytest.raises(TriptychError, match=r"made of tiny-cuda-nn.* train this scene again"):
                load_field(*files, device=CPU)


def test_a_damaged_field_is_an_error_in_one_line(files: Files) -> None:
    files[0].write_bytes(files[0].read_bytes()[:100])
    with pytest.raises(TriptychError, match="train this scene again"):
        load_field(*files, device=CPU)


def test_the_film_plays_anywhere(scene: Scene, trained: TrainingResult, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    training = scene.cameras.select(scene.split(8)[0])
    cameras = camera_path(training, frames=6, seconds=0.5, width=33)
    render_flythrough(cameras, trained.radiance, film, fps=12, quality=20)
    with av.open(str(film)) as opened:
        stream = opened.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in opened.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate or 0) == 12
    assert len(pictures) == 6
    assert pictures[0].shape == (32, 32, 3)
    assert film.read_bytes().find(b"moov") < film.read_bytes().find(b"mdat")


def test_a_scene_without_a_budget_is_refused(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="neither steps nor minutes"):
        run(scene, changed(RECIPE, steps=None), tmp_path)


def test_pixels_are_drawn_with_their_values(scene: Scene) -> None:
    images = read_images(scene, [0, 3])
    pixels = RaySampler([images[0], images[1][:7, :5]], CPU)
    image, centres, values = pixels.sample(500, torch.Generator().manual_seed(0))
    column, row = (centres - 0.5).long().unbind(-1)
    for n in range(500):
        assert torch.equal(values[n], images[int(image[n])][row[n], column[n]] / 255)
    assert set(image.tolist()) == {0, 1}


def test_transparent_pixels_show_the_background() -> None:
    half = torch.tensor([[1.0, 0.0, 0.0, 0.25]])
    assert over(half, torch.tensor([0.0, 0.0, 1.0])).tolist() == [[0.25, 0.0, 0.75]]


@pytest.mark.parametrize(
    ("marched", "used", "expected"),
    [(1000, 1000, 1024), (1000, 500, 2048), (8000, 2000, 512), (8000, 250, 512), (0, 0, 2048)],
)
def test_ray_counts_follow_the_samples(marched: int, used: int, expected: int) -> None:
    batch = RayBatch(torch.tensor(0.0), 0.0, marched, used)
    assert next_ray_count(1024, batch, 1000) == expected


def test_metrics_of_known_images() -> None:
    image = np.random.default_rng(0).random((32, 32, 3))
    assert image_ssim(image, image) == pytest.approx(1)
    assert image_psnr(image, image.clip(0, 0.9) * 0 + image + 0.1) == pytest.approx(20)
    assert image_ssim(image, 1 - image) < 0.1


def test_the_first_update_of_the_occupancy_covers_every_cell(scene: Scene) -> None:
    training = Trainer(scene, changed(SHORT, steps=17))
    before = training.model.occupancy.active.clone()
    with torch.no_grad():  # everywhere as dense as can be
        training.model.density = lambda points: torch.full((len(points),), 1000.0)
    for _ in range(17):
        training.advance()
    assert torch.equal(training.model.occupancy.occupied, before)


@pytest.mark.parametrize(
    ("background", "has_alpha", "shown"),
    [("white", False, 1.0), ("black", True, 0.0), ("random", True, 1.0), ("random", False, 0.0)],
)
def test_pictures_are_rendered_over_the_background_of_the_recipe(
    scene: Scene, tmp_path: Path, background: str, has_alpha: bool, shown: float
) -> None:
    if not has_alpha:
        path = write_ball_scene(tmp_path / "opaque", images=4)
        for image in (path.parent / "frames").iterdir():
            Image.open(image).convert("RGB").save(image)
        scene = read_scene(path)
    training = Trainer(scene, changed(SHORT, holdout=2, background=background))
    assert training.averaged_field().background.tolist() == [shown] * 3


def test_cameras_that_see_nothing_of_the_box_are_an_error_before_training(scene: Scene) -> None:
    rotation = scene.cameras.rotation[1:2].expand(len(scene.cameras), 3, 3)
    moved = replace(scene.cameras, position=scene.cameras.position + 50.0, rotation=rotation)
    away = replace(scene, cameras=moved)
    with pytest.raises(
        TriptychError, match=r"0% of the training rays cross .*aabb_scale 1.*would do"
    ) as caught:
        Trainer(away, SHORT)
    assert "\n" not in str(caught.value)


def test_a_camera_that_sees_nothing_of_the_box_is_named(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    position = scene.cameras.position.clone()
    position[9] += 50.0
    Trainer(replace(scene, cameras=replace(scene.cameras, position=position)), SHORT)
    assert "1 of 35 training cameras see nothing of the scene's box (first: 009)" in caplog.text


def test_too_few_training_images_are_an_error_before_training(scene: Scene, tmp_path: Path) -> None:
    two = {name: getattr(scene, name)[:2] for name in ("names", "files", "masks", "splits")}
    few = replace(scene, **two, cameras=scene.cameras.select([0, 1]))
    with pytest.raises(TriptychError, match="leaves 1 of 2 images for training"):
        run(few, SHORT, tmp_path)
