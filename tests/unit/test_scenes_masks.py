"""Masks: what they hide is neither learnt nor measured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_scenes_cameras import write_scene

from triptych.radiance.metrics import image_psnr, image_ssim
from triptych.radiance.ray_sampler import RaySampler, read_masks
from triptych.scenes.images import read_mask
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import Mask
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")


def save(mask: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return path


def left_half(width: int = 8, height: int = 6) -> np.ndarray:
    return np.arange(width)[None].repeat(height, 0) < width // 2


def give_mask(path: Path, number: int, name: str) -> None:
    content = json.loads(path.read_text())
    content["frames"][number]["mask_path"] = name
    path.write_text(json.dumps(content))


def test_both_conventions_are_read(tmp_path: Path) -> None:
    path = write_scene(tmp_path)
    save(left_half(), tmp_path / "masks/0.png")
    give_mask(path, 0, "masks/0.png")
    save(left_half(), tmp_path / "dynamic_mask_001.png")
    named, beside, none = read_masks(read_scene(path), [0, 1, 2])
    assert named is not None and np.array_equal(named.numpy(), left_half())  # black is ignored
    assert beside is not None and np.array_equal(beside.numpy(), ~left_half())  # white is ignored
    assert none is None


def test_a_pixel_that_is_partly_hidden_is_hidden(tmp_path: Path) -> None:
    mask = np.ones((6, 8), bool)
    mask[3, 5] = False
    shrunk = read_mask(Mask(save(mask, tmp_path / "mask.png"), hides="black"), (4, 3))
    assert (~shrunk).nonzero().tolist() == [[1, 2]]


def test_bad_masks_end_in_one_clear_line(tmp_path: Path) -> None:
    path = write_scene(tmp_path)
    give_mask(path, 0, "mask.png")
    with pytest.raises(TriptychError, match=r"frame 000.png: its mask mask.png does not exist"):
        read_scene(path)
    save(left_half(4, 3), tmp_path / "mask.png")
    with pytest.raises(TriptychError, match=r"mask.png: this mask is 4x3 but its image is 8x6"):
        read_scene(path)
    save(np.zeros((6, 8)), tmp_path / "mask.png")
    with pytest.raises(TriptychError, match=r"mask.png: this mask hides its whole image"):
        read_masks(read_scene(path), [0])
    (tmp_path / "mask.png").write_bytes(b"no image")
    with pytest.raises(TriptychError, match=r"mask.png: cannot be read as an image"):
        read_scene(path)


def test_only_unmasked_pixels_are_drawn_and_each_as_often() -> None:
    images = [torch.zeros(6, 8, 3, dtype=torch.uint8), torch.zeros(4, 5, 3, dtype=torch.uint8)]
    mask = torch.from_numpy(left_half())
    images[0][~mask] = 255
    pixels = RaySampler(images, CPU, [mask, None])
    image, centres, values = pixels.sample(88000, torch.Generator().manual_seed(0))
    assert (values == 0).all()
    flat = image * 48 + (centres[:, 1].long() * torch.tensor([8, 5])[image] + centres[:, 0].long())
    counts = torch.bincount(flat, minlength=68)
    expected = torch.cat([mask.flatten(), torch.ones(20, dtype=torch.bool)])
    assert torch.equal(counts > 0, expected)
    # 44 pixels 2000 times each: a deviation of five standard deviations does not happen
    assert (counts[expected] - 2000).abs().max() < 5 * 2000**0.5


def test_without_masks_nothing_is_stored_and_the_same_is_drawn() -> None:
    images = [torch.arange(144, dtype=torch.uint8).view(6, 8, 3)]
    plain, unmasked = RaySampler(images, CPU), RaySampler(images, CPU, [None])
    all_kept = RaySampler(images, CPU, [torch.ones(6, 8, dtype=torch.bool)])
    assert plain.unmasked is None and unmasked.unmasked is None
    assert all_kept.unmasked is not None and all_kept.unmasked.element_size() == 4
    draws = [pixels.sample(99, torch.Generator().manual_seed(1)) for pixels in (plain, unmasked, all_kept)]
    for other in draws[1:]:
        assert all(torch.equal(a, b) for a, b in zip(draws[0], other, strict=True))


def test_metrics_see_unmasked_pixels_only() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((40, 50, 3))
    image = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1)
    mask = left_half(50, 40)
    spoilt = np.where(mask[..., None], truth, rng.random(truth.shape))
    assert image_psnr(image, spoilt, mask) == image_psnr(image[:, :25], truth[:, :25])
    assert image_ssim(image, spoilt, mask) == image_ssim(image, truth, mask)
    assert image_ssim(image, truth, mask) == pytest.approx(image_ssim(image, truth), abs=0.03)
    everything = np.ones((40, 50), bool)
    assert image_ssim(image, truth, everything) == pytest.approx(image_ssim(image, truth), abs=1e-12)
    corner = np.zeros((40, 50), bool)
    corner[0, 0] = True
    assert 0 < image_ssim(image, truth, corner) < 1
