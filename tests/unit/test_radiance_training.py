"""From images with known poses to pictures: quality, exact resuming, files."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from sphere_scene import write_ball_scene

from triptych.config.reconstruction import Radiance
from triptych.radiance.composite import over
from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.flythrough import render_flythrough
from triptych.radiance.metrics import image_psnr, image_ssim, psnr
from triptych.radiance.model import RayBatch
from triptych.radiance.ray_sampler import RaySampler, read_images
from triptych.radiance.render import render_image
from triptych.radiance.snapshot import load_field, save_field
from triptych.radiance.trace import trace_rays
from triptych.radiance.train import TrainingResult, train
from triptych.radiance.trainer import Trainer, next_ray_count
from triptych.scenes.camera_path import camera_path
from triptych.scenes.scene import Scene, read_scene
from triptych.training.checkpoint import Checkpoints
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")
RECIPE = Radiance(
    device="cpu",
    precision="float32",
    downscale=1,
    steps=300,
    samples_per_step=8192,
    levels=6,
    features=2,
    log2_table=14,
    base_resolution=8,
    finest_resolution=64,
    occupancy_resolution=32,
    final_learning_rate=0.001,
    evaluations=0,
)


def changed(recipe: Radiance, **values: object) -> Radiance:
    return Radiance(**(recipe.model_dump() | values))


def run(
    scene: Scene, recipe: Radiance, folder: Path, checkpoints: Checkpoints | None = None
) -> TrainingResult:
    return train(
        scene,
        recipe,
        checkpoints=checkpoints or Checkpoints(folder / "checkpoints", "same", every=1e9),
        events=folder / "tensorboard",
        history=folder / "history.csv",
    )


def weights(trained: TrainingResult) -> dict[str, torch.Tensor]:
    occupancy = trained.radiance.occupancy
    grids = {"occupied": occupancy.occupied, "density_ema": occupancy.density_ema}
    return trained.radiance.field.state_dict() | grids


def assert_same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert [name for name, tensor in found.items() if not torch.equal(tensor, expected[name])] == []


SHORT = changed(RECIPE, steps=40, samples_per_step=1024, log_every=10)


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


class Killed(BaseException):
    """Stands for the end of the process."""


class KilledCheckpoints(Checkpoints):
    """Saves whenever asked; the process ends after the second time."""

    saves = 0

    def save(self, step: int, state: dict[str, Any]) -> None:
        super().save(step, state)
        self.saves += 1
        if self.saves == 2:
            raise Killed


def test_an_interrupted_run_resumes_to_the_same_bits(scene: Scene, tmp_path: Path) -> None:
    expected = weights(run(scene, SHORT, tmp_path / "whole"))
    interrupted = tmp_path / "interrupted"
    with pytest.raises(Killed):
        run(scene, SHORT, interrupted, KilledCheckpoints(interrupted / "checkpoints", "same", every=0))
    saved = sorted(path.name[-6:] for path in (interrupted / "checkpoints").iterdir())
    assert saved == ["010.pt", "020.pt"]
    resumed = weights(run(scene, SHORT, interrupted))
    assert resumed["density_ema"].any()
    assert_same(resumed, expected)
    assert len((interrupted / "history.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("kill_after", [0.0, 0.3])
def test_a_killed_run_resumes_to_the_same_bits(scene: Scene, tmp_path: Path, kill_after: float) -> None:
    longer = changed(SHORT, steps=500)
    killed, checkpoints = tmp_path / "killed", tmp_path / "killed/checkpoints"
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "import torch; torch.set_num_threads(2)\n"
        "from test_radiance_training import SHORT, Checkpoints, changed, read_scene, run\n"
        "folder = Path(sys.argv[1])\n"
        "run(read_scene(sys.argv[2]), changed(SHORT, steps=500), folder,"
        " Checkpoints(folder / 'checkpoints', 'same', every=0))"
    )
    transforms = scene.files[0].parents[1] / "transforms.json"
    process = subprocess.Popen([sys.executable, "-c", script, killed, transforms, Path(__file__).parent])
    while process.poll() is None and not list(checkpoints.glob("step-*.pt")):
        time.sleep(0.01)
    time.sleep(kill_after)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it had not finished
    assert not (killed / "history.csv").exists()
    assert_same(weights(run(scene, longer, killed)), weights(run(scene, longer, tmp_path / "whole")))


def test_another_seed_gives_another_field(scene: Scene, tmp_path: Path) -> None:
    short = changed(SHORT, steps=3)
    one, same, other = (
        weights(run(scene, changed(short, seed=seed), tmp_path / str(n))) for n, seed in enumerate((0, 0, 1))
    )
    key = "grid.tables.0"
    assert torch.equal(one[key], same[key])
    assert not torch.equal(one[key], other[key])


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


def test_the_path_starts_and_ends_at_cameras_and_stays_smooth(scene: Scene) -> None:
    cameras = scene.cameras
    path = camera_path(cameras, frames=200, seconds=30.0, width=64)
    assert torch.allclose(path.position[0], cameras.position[0], atol=1e-5)
    assert torch.allclose(path.position[-1], cameras.position[-1], atol=1e-5)
    steps = path.position.diff(dim=0).norm(dim=-1)
    assert steps.max() < 2 * steps.mean()
    turns = (
        Rotation.from_matrix(path.rotation[:-1]).inv() * Rotation.from_matrix(path.rotation[1:])
    ).magnitude()
    assert turns.max() < 3 * turns.mean()
    # every frame still looks at the ball in the middle
    for number in range(0, 200, 20):
        pixel, depth = path.project(number, torch.full((1, 3), 0.5))
        assert depth > 0
        assert torch.allclose(pixel[0], path.centre[number], atol=4)


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


def test_warming_up_changes_nothing(scene: Scene) -> None:
    cold, warm = Trainer(scene, SHORT), Trainer(scene, SHORT)
    warm.warm_up()
    for training in (cold, warm):
        for _ in range(5):
            training.advance()
    assert_same(warm.model.field.state_dict(), cold.model.field.state_dict())


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


def float16_trainer(scene: Scene, loss_scale: float) -> Trainer:
    """In plain PyTorch, as the CPU's kernels have no float16."""
    trainer = Trainer(scene, SHORT)
    trainer.model.tracer = partial(trace_rays, precision="float16")
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=loss_scale)
    return trainer


def test_a_step_that_overflows_float16_is_skipped(scene: Scene) -> None:
    trainer = float16_trainer(scene, 2.0**40)
    before = {name: value.clone() for name, value in trainer.model.field.state_dict().items()}
    trainer.advance()
    assert trainer.step == 1 and trainer.scaler.get_scale() == 2.0**39
    assert_same(trainer.model.field.state_dict(), before)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer.advance()
    assert trainer.scaler.get_scale() == 1024.0
    assert not torch.equal(trainer.model.field.state_dict()["grid.tables.0"], before["grid.tables.0"])


def test_float16_gradients_that_always_overflow_end_in_one_clear_line(scene: Scene) -> None:
    trainer = float16_trainer(scene, 2.0**-8)
    parameters = [value for optimizer in trainer.optimizers for value in optimizer.param_groups[0]["params"]]
    with pytest.raises(TriptychError, match="overflow float16 in every step; use precision bfloat16"):
        for _ in range(10):
            trainer.scaler.scale(torch.tensor(1.0))  # as for a loss
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, torch.inf)
            trainer.apply_gradients()
    assert trainer.scaler.get_scale() == 2.0**-11


def test_too_few_training_images_are_an_error_before_training(scene: Scene, tmp_path: Path) -> None:
    two = {name: getattr(scene, name)[:2] for name in ("names", "files", "masks", "splits")}
    few = replace(scene, **two, cameras=scene.cameras.select([0, 1]))
    with pytest.raises(TriptychError, match="leaves 1 of 2 images for training"):
        run(few, SHORT, tmp_path)
