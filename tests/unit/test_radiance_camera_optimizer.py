"""What is learnt beside the field: poses, exposures, appearances; and the loss against floaters."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_training import RECIPE, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation
from sphere_scene import write_ball_scene

from triptych.radiance.camera_optimizer import CameraOptimizer, rotate
from triptych.radiance.composite import composite
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.loss import distortion_loss
from triptych.radiance.trace import Rays, trace_rays
from triptych.radiance.trainer import Trainer
from triptych.scenes.cameras import Cameras
from triptych.scenes.scene import read_scene


def one_camera(times: int) -> Cameras:
    """The same camera so many times."""
    return Cameras(
        focal=torch.full((times, 2), 10.0),
        centre=torch.zeros(times, 2),
        distortion=torch.zeros(times, 4),
        rotation=torch.eye(3).repeat(times, 1, 1),
        position=torch.zeros(times, 3),
        size=torch.full((times, 2), 8),
    )


@settings(max_examples=25)
@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_directions_turn_by_the_axis_angle(vector: list[float]) -> None:
    direction = np.array([0.6, 0.0, 0.8])
    turned = rotate(torch.from_numpy(direction)[None], torch.tensor([vector], dtype=torch.float64))[0]
    np.testing.assert_allclose(turned.numpy(), Rotation.from_rotvec(vector).apply(direction), atol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-5, 0.7])
def test_turning_has_exact_gradients_also_at_no_turn(size: float) -> None:
    directions = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors = torch.full((4, 3), size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotate, (directions, vectors), atol=1e-4)


def learn(scene_file: Path, *, steps: int = 400, **changes: object) -> Trainer:
    """Train; the training's sums are those of the last 50 steps."""
    training = Trainer(read_scene(scene_file), changed(RECIPE, steps=steps, **changes))
    while training.progress() < 1:
        if training.step == steps - 50:
            training.row(50)
        training.advance()
    return training


def test_wrong_poses_are_corrected(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path, images=24)
    content = json.loads(path.read_text())
    exact = read_scene(path)
    rng = np.random.default_rng(0)
    for frame in content["frames"]:
        pose = np.array(frame["transform_matrix"])
        pose[:3, 3] += rng.normal(size=3) * 0.06
        frame["transform_matrix"] = pose.tolist()
    path.write_text(json.dumps(content))
    kept, refined = (
        learn(path, steps=250, samples_per_step=4096, refine_poses=refine) for refine in (False, True)
    )
    assert refined.row(50)["train_psnr"] > kept.row(50)["train_psnr"] + 1.0
    # up to a shift of the whole scene, which no image can tell
    indices, _ = exact.split(RECIPE.holdout)
    given, truth = refined.model.cameras.position, exact.cameras.position[indices]
    shifts = refined.model.camera_optimizer.translations
    assert shifts is not None
    before, after = given - truth, given + shifts.detach() - truth
    errors = [(error - error.mean(dim=0)).norm(dim=1).mean() for error in (before, after)]
    assert errors[1] < 0.7 * errors[0]


@pytest.fixture(scope="module")
def half_dark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene in which every third image is half as bright."""
    folder = tmp_path_factory.mktemp("dark")
    path = write_ball_scene(folder, images=24)
    for number, image in enumerate(sorted((folder / "frames").iterdir())):
        if number % 3 == 2:
            pixels = np.array(Image.open(image))
            pixels[..., :3] = pixels[..., :3] // 2
            Image.fromarray(pixels).save(image)
    return path


def test_exposures_are_recovered(half_dark: Path) -> None:
    training = learn(half_dark, background="black", refine_exposure=True)
    gains = training.model.camera_optimizer.exposures
    assert gains is not None
    numbers = [number for number in range(24) if number % RECIPE.holdout]
    dark = torch.tensor([number % 3 == 2 for number in numbers])
    difference = gains.detach()[dark].mean() - gains.detach()[~dark].mean()
    assert difference.exp().item() == pytest.approx(0.5, abs=0.1)


def test_appearances_explain_images_that_differ(half_dark: Path) -> None:
    plain, described = (learn(half_dark, background="black", appearance=width) for width in (0, 4))
    assert described.row(50)["train_loss"] < 0.8 * plain.row(50)["train_loss"]


def test_the_first_image_keeps_its_exposure() -> None:
    corrections = CameraOptimizer(2, poses=False, exposure=True)
    assert corrections.exposures is not None
    corrections.exposures.data.fill_(1.0)
    colours = corrections.expose(torch.ones(2, 3), torch.tensor([0, 1]))
    assert torch.allclose(colours[0], torch.ones(3))
    assert torch.allclose(colours[1], torch.full((3,), float(np.e)))


def test_exposure_leaves_the_background_alone(tmp_path: Path) -> None:
    recipe = changed(RECIPE, background="white", refine_exposure=True)
    trainer = Trainer(read_scene(write_ball_scene(tmp_path, images=9)), recipe)
    trainer.model.occupancy.set_occupied(
        torch.zeros_like(trainer.model.occupancy.occupied)
    )  # nothing but background
    assert trainer.model.camera_optimizer.exposures is not None
    losses = []
    for exposure in (0.0, 1.0):
        trainer.model.camera_optimizer.exposures.data.fill_(exposure)
        batch = trainer.model.loss(64, step_scale=1.0, generator=torch.Generator().manual_seed(0))
        losses.append(batch.loss.item())
    assert losses[0] == losses[1]


def test_gradients_of_images_have_the_same_bits_on_any_number_of_threads() -> None:
    count, generator, found = 2**14, torch.Generator().manual_seed(0), set()
    image = torch.randint(50, (count,), generator=generator)
    weight = torch.randn(count, 3, generator=generator)
    corrections = CameraOptimizer(50, poses=True, exposure=True)
    field = Field(FieldShape(levels=2, log2_table=8, images=50, appearance=3))
    learnt = [*corrections.parameters(), field.appearance]
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 2, 2, 2):
            torch.set_num_threads(number)
            moved, turned = corrections.rays(one_camera(50), image, weight[:, :2])
            exposed = corrections.expose(weight, image)
            described = field.ray_features(weight, image)[:, -3:]
            together = ((moved + turned + exposed + described) * weight).sum()
            gradients = torch.autograd.grad(together, [value for value in learnt if value is not None])
            assert len(gradients) == 4
            found.add(b"".join(gradient.numpy().tobytes() for gradient in gradients))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_distortion_is_the_sum_over_pairs(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    distance = torch.rand(count, generator=generator, dtype=torch.float64).sort().values * 3
    density, step = (torch.rand(count, generator=generator, dtype=torch.float64) for _ in range(2))
    ray = torch.zeros(count, dtype=torch.int64)
    _, weight = composite(density, torch.ones(count, 3).double(), distance, step, ray, 1)
    pairs = (weight[:, None] * weight[None] * (distance[:, None] - distance[None]).abs()).sum()
    expected = pairs + (weight.square() * step).sum() / 3
    assert distortion_loss(weight, distance, step, ray, 1).item() == pytest.approx(expected.item(), rel=1e-9)


def test_distortion_concentrates_the_field(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path, images=24)
    spreads = []
    for weight in (0.0, 0.1):
        training = learn(path, distortion=weight, steps=250)
        scene = training.averaged_field()
        origins, directions = training.model.cameras.image_rays(3)
        rays = Rays(
            origins,
            directions,
            scene.field.ray_features(directions),
            torch.full((len(origins),), 0.5),
            0.1,
            scene.schedule,
        )
        with torch.no_grad():
            traced = trace_rays(scene.field, scene.occupancy, rays, precision="float32")
        spreads.append(traced.distortion.mean())
    assert spreads[1] < 0.8 * spreads[0]
