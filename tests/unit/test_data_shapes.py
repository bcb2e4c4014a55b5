"""The embedded data set: reproducible, balanced, and not solvable without seeing shapes."""

import numpy as np
import pytest
from scipy import ndimage

from triptych.data.shapes import CLASSES, generate_shapes, render
from triptych.data.silhouettes import SILHOUETTES


def test_ten_classes_take_turns():
    images = generate_shapes(train=40, test=20, seed=0, image_size=32)
    assert images.train_images.shape == (40, 32, 32, 3) and images.train_images.dtype == np.uint8
    assert images.test_images.shape == (20, 32, 32, 3)
    assert len(images.classes) == len(set(images.classes)) == 10
    assert np.array_equal(np.bincount(images.train_labels), [4] * 10)
    assert images.train_labels.dtype == np.int64


def test_an_image_depends_on_seed_split_and_number_alone():
    many = render("train", np.arange(300), seed=3, side=16)
    assert np.array_equal(render("train", np.array([7, 290]), seed=3, side=16), many[[7, 290]])
    assert not np.array_equal(render("train", np.array([7]), seed=4, side=16)[0], many[7])
    assert not np.array_equal(render("test", np.array([7]), seed=3, side=16)[0], many[7])


def test_train_and_test_share_no_image():
    images = generate_shapes(train=500, test=500, seed=0, image_size=16)
    everything = np.concatenate([images.train_images, images.test_images]).reshape(1000, -1)
    assert len(np.unique(everything, axis=0)) == 1000


@pytest.mark.parametrize("side", [16, 48])
def test_the_image_size_is_free(side):
    assert render("train", np.arange(10), seed=0, side=side).shape == (10, side, side, 3)


@pytest.mark.parametrize("name", CLASSES)
def test_a_silhouette_is_one_piece_within_the_unit_circle_or_nearly(name):
    axis = np.linspace(-1.3, 1.3, 261)
    x, y = axis[None, :] + 0 * axis[:, None], axis[:, None] + 0 * axis[None, :]
    inside = SILHOUETTES[name](x, y) < 0
    assert ndimage.label(inside)[1] == 1
    assert 0.25 < inside.sum() * 0.01**2 < 2.3  # of the unit circle's 3.14
    assert np.hypot(x, y)[inside].max() < 1.22
    holes = ndimage.label(~inside)[1] - 1
    assert holes == (1 if name == "ring" else 0)


def test_colour_and_brightness_say_nothing_about_the_class():
    images = render("train", np.arange(2500), seed=0, side=16)
    labels = np.arange(2500) % 10
    means = images.reshape(2500, -1, 3).mean(axis=1)
    within = means.std(axis=0)
    for label in range(10):
        # four standard errors of a class's mean
        assert (
            np.abs(means[labels == label].mean(axis=0) - means.mean(axis=0)) < 4 * within / 250**0.5
        ).all()


def test_a_linear_classifier_on_pixels_fails():
    """Ridge regression onto one-hot labels. A ResNet18 passes 85 % at 32 pixels."""
    images = generate_shapes(train=2000, test=500, seed=0, image_size=16)
    parts = (images.train_images, images.test_images)
    train, test = (part.reshape(len(part), -1) / np.float32(255) for part in parts)
    mean, std = train.mean(axis=0), train.std(axis=0)
    train, test = (train - mean) / std, (test - mean) / std
    targets = np.eye(10, dtype=np.float32)[images.train_labels] - np.float32(0.1)
    penalty = 2.5e3 * np.eye(train.shape[1], dtype=np.float32)
    weights = np.linalg.solve(train.T @ train + penalty, train.T @ targets)
    assert ((train @ weights).argmax(axis=1) == images.train_labels).mean() > 0.2  # it did learn something
    assert ((test @ weights).argmax(axis=1) == images.test_labels).mean() < 0.6
