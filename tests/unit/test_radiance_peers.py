"""The comparison with other libraries gives all of them the same scene and judges them alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.radiance_peers import HOLDOUT, heldout_psnr, prepare
from PIL import Image
from sphere_scene import write_ball_scene

from triptych.scenes.coordinates import OFFSET
from triptych.scenes.images import read_image
from triptych.scenes.scene import read_scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json

DOWNSCALE = 4


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """The ball before a wall, without alpha."""
    transforms = write_ball_scene(tmp_path / "given", images=9, side=64)
    for file in (tmp_path / "given" / "frames").iterdir():
        Image.open(file).convert("RGB").save(file)
    return transforms


def test_prepared_scene_is_the_scene_at_its_size(photographs: Path, tmp_path: Path) -> None:
    scene = read_scene(photographs, downscale=DOWNSCALE)
    prepare(scene, tmp_path)
    prepared = read_scene(tmp_path / "transforms.json")
    assert prepared.names == scene.names
    for name in ("focal", "centre", "distortion", "rotation", "position", "size"):
        torch.testing.assert_close(getattr(prepared.cameras, name), getattr(scene.cameras, name))
    pixels = [read_image(file, (16, 16)) for file in scene.files]
    torch.testing.assert_close([read_image(file, (16, 16)) for file in prepared.files], pixels)


def test_given_rays_are_the_cameras(photographs: Path, tmp_path: Path) -> None:
    scene = read_scene(photographs, downscale=DOWNSCALE)
    prepare(scene, tmp_path)
    origins, directions = scene.cameras.image_rays(3)
    with np.load(tmp_path / "rays" / f"{scene.names[3]}.npz") as rays:
        np.testing.assert_allclose(rays["origin"], origins[0] - OFFSET, atol=1e-6)
        np.testing.assert_allclose(rays["directions"].reshape(-1, 3), directions, atol=1e-6)


def test_held_out_are_every_eighth_and_never_trained_on(photographs: Path, tmp_path: Path) -> None:
    prepare(read_scene(photographs, downscale=DOWNSCALE), tmp_path)
    content = read_json(tmp_path / "transforms.json")
    files = sorted(frame["file_path"] for frame in content["frames"])
    assert content["test_filenames"] == files[::HOLDOUT]
    assert sorted(content["train_filenames"] + content["test_filenames"]) == files


def test_pictures_are_measured_against_the_prepared_photographs(photographs: Path, tmp_path: Path) -> None:
    prepare(read_scene(photographs, downscale=DOWNSCALE), tmp_path)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for file in read_json(tmp_path / "transforms.json")["test_filenames"]:
        brighter = np.array(Image.open(tmp_path / file)).astype(int)
        brighter += np.where(brighter < 128, 51, -51)  # a fifth of the range: 20 log10(5) dB
        Image.fromarray(brighter.astype(np.uint8)).save(pictures / Path(file).name)
    assert heldout_psnr(tmp_path, pictures) == pytest.approx(13.979, abs=1e-3)


def test_a_view_that_a_peer_left_out_is_an_error(photographs: Path, tmp_path: Path) -> None:
    prepare(read_scene(photographs, downscale=DOWNSCALE), tmp_path)
    with pytest.raises(TriptychError, match="not rendered"):
        heldout_psnr(tmp_path, tmp_path / "rays")
