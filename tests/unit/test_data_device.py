"""Images of batches: gathered from their file, whole for random crops and their centres for evaluations."""

from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.data.device import EVALUATED, DeviceImages

CPU = torch.device("cpu")


def device_images(path: Path, *, side: int | None = None, indices: np.ndarray | None = None) -> DeviceImages:
    """Ten mapped images of 12 pixels, image i with all values i but for a bright border of 2 pixels."""
    pixels = np.full((10, 12, 12, 3), 255, np.uint8)
    pixels[:, 2:10, 2:10] = np.arange(10, dtype=np.uint8)[:, None, None, None]
    np.save(path / "images.npy", pixels)
    return DeviceImages(
        np.load(path / "images.npy", mmap_mode="c"),
        np.arange(10),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        device=CPU,
        indices=indices,
        side=side,
    )


def test_a_batch_is_read_from_the_file_in_the_order_of_its_indices(tmp_path: Path) -> None:
    images = device_images(tmp_path, indices=np.array([7, 3, 5]))
    batch = images.uint8(torch.tensor([2, 0]))
    assert batch[:, 0, 5, 5].tolist() == [5, 7] and images.labels.tolist() == [7, 3, 5] and len(images) == 3
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert images.pixels(torch.tensor([1]))[0, 0, 5, 5].item() == pytest.approx(3 / 255)


def test_crops_are_drawn_from_whole_images_and_evaluations_see_their_centres(tmp_path: Path) -> None:
    images = device_images(tmp_path, side=8)
    assert images.pixels(torch.arange(2)).shape == (2, 3, 12, 12)
    centres = images.centres(torch.arange(10))
    assert centres.shape == (10, 3, 8, 8)
    assert torch.equal(centres.mul(255).round().amax(dim=(1, 2, 3)), torch.arange(10.0))  # no border
    assert torch.equal(device_images(tmp_path).centres(torch.arange(10)), images.pixels(torch.arange(10)))


@pytest.mark.parametrize(("side", "count"), [(8, EVALUATED), (32, EVALUATED), (64, EVALUATED), (224, 40)])
def test_evaluations_have_fewer_large_images_in_a_batch(side: int, count: int) -> None:
    images = DeviceImages(
        np.broadcast_to(np.zeros((1, side, side, 3), np.uint8), (501, side, side, 3)),
        np.zeros(501, np.int64),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        device=CPU,
    )
    batches = images.batches()
    assert len(batches[0]) == count and torch.equal(torch.cat(batches), torch.arange(501))
    assert len(images.batches(torch.arange(50, 60), 4)[0]) <= 4
