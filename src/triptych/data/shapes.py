"""The embedded data set: ten shapes in random pose, colour, texture, light and clutter.

Only the silhouette tells the classes apart. Colours, textures and the sign of the contrast
are drawn independently of the class, so neither single pixels nor colour histograms help: the
outline has to be seen.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.packed import LabelledImages
from triptych.data.silhouettes import SILHOUETTES
from triptych.workflow.seeds import numpy_generator

CLASSES = tuple(SILHOUETTES)
SAMPLES = 4  # the outline is anti-aliased by SAMPLES x SAMPLES points per pixel
CHUNK = 2**18  # pixels drawn at once, a bound on memory
DRAWS = 96  # uniform numbers per image, a few more than are used
CLUTTER = 2  # distractors per image, of which the last is in front of the shape
TILT = np.pi / 6  # largest turn of a shape, either way
COARSE = 6  # side of the random grid from which the noise texture is interpolated

Array = NDArray[np.floating[Any]]


class _Draws:
    """Uniform numbers for a chunk of images, handed out one after another as (B, 1, 1) arrays."""

    def __init__(self, uniform: Array) -> None:
        self._columns: Iterator[Array] = iter(uniform.T[..., None, None])

    def between(self, low: float, high: float) -> Array:
        """One number in [low, high) for each image."""
        return low + (high - low) * next(self._columns)

    def sign(self) -> Array:
        """-1 or 1 for each image."""
        return np.where(next(self._columns) < 0.5, np.float32(-1), 1)


def _grid(side: int) -> tuple[Array, Array]:
    """Coordinates of pixel centres, (1, side, side), from -1 to 1 over the image."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    return axis[None, None, :], axis[None, :, None]


def _outline(labels: NDArray[np.int64], draws: _Draws, side: int) -> Array:
    """How much of each pixel the shape covers, (B, side, side) in 0..1, in a random pose."""
    turn, radius = draws.between(-TILT, TILT), draws.between(0.6, 0.9)
    stretch, shear = np.exp(draws.between(-0.18, 0.18)), draws.between(-0.2, 0.2)
    tilt_x, tilt_y = draws.between(-0.2, 0.2), draws.between(-0.2, 0.2)
    reach = 0.3 * (1.05 - radius)  # near the middle: a ViT learns each place of a shape on its own
    shift_x, shift_y = draws.between(-1, 1) * reach, draws.between(-1, 1) * reach

    x, y = _grid(side * SAMPLES)
    x, y = (x - shift_x) / radius, (y - shift_y) / radius
    depth = 1 + tilt_x * x + tilt_y * y
    x, y = x / depth, y / depth
    x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    x, y = (x + shear * y) * stretch, y / stretch

    inside = np.empty(x.shape, dtype=bool)
    for label, silhouette in enumerate(SILHOUETTES.values()):
        chosen = labels == label
        inside[chosen] = silhouette(x[chosen], y[chosen]) < 0
    return inside.reshape(len(labels), side, SAMPLES, side, SAMPLES).mean(axis=(2, 4), dtype=np.float32)


def _texture(draws: _Draws, coarse: Array, side: int) -> Array:
    """A pattern in -1..1, (B, side, side): stripes, checks, a smooth gradient or smooth noise."""
    x, y = _grid(side)
    turn, phase = draws.between(0, 2 * np.pi), draws.between(0, 2 * np.pi)
    frequency = draws.between(3, 11)
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    stripes = np.sin(frequency * u + phase)
    checks = stripes * np.sin(frequency * v + phase)
    gradient = u * 0.7
    position = (np.arange(side) + 0.5) / side * (COARSE - 1)
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(COARSE))).astype(np.float32)
    noise = 2 * (weights @ coarse @ weights.T) - 1
    kind = np.floor(draws.between(0, 4))
    return np.select([kind == 0, kind == 1, kind == 2], [stripes, checks, gradient], noise)


def _surface(draws: _Draws, coarse: Array, luminance: Array, side: int) -> Array:
    """A textured colour field (B, side, side, 3) about a grey of the given luminance (B, 1, 1)."""
    texture = _texture(draws, coarse, side)[..., None]

    def tint(amount: float) -> Array:
        colour = np.concatenate([draws.between(-amount, amount) for _ in range(3)], axis=-1)
        return (colour - colour.mean(axis=-1, keepdims=True))[:, :, None, :]

    swing = (draws.sign() * draws.between(0.02, 0.08))[..., None]
    return luminance[..., None] + tint(0.3) + texture * (swing + tint(0.06))


def _clutter(draws: _Draws, canvas: Array, side: int) -> None:
    """Paint one small disc or tilted square of a random colour over each canvas, in place."""
    x, y = _grid(side)
    turn, radius = draws.between(0, np.pi), draws.between(0.06, 0.2)
    x, y = x - draws.between(-1, 1), y - draws.between(-1, 1)
    u, v = np.abs(np.cos(turn) * x + np.sin(turn) * y), np.abs(np.cos(turn) * y - np.sin(turn) * x)
    distance = np.where(draws.sign() > 0, np.hypot(u, v), np.maximum(u, v)) - radius
    cover = np.clip(0.5 - distance * (side / 2), 0, 1)[..., None]
    colour = np.concatenate([draws.between(0, 1) for _ in range(3)], axis=-1)[:, :, None, :]
    canvas += cover * (colour - canvas)


def _luminances(draws: _Draws) -> tuple[Array, Array]:
    """Luminances of shape and background, at least 0.22 apart; either one may be the brighter one."""
    gap = draws.between(0.22, 0.5)
    lower = 0.15 + draws.between(0, 1) * (0.7 - gap)
    flip = draws.sign() > 0
    return np.where(flip, lower + gap, lower), np.where(flip, lower, lower + gap)


def _paint(uniform: Array, coarse: Array, grain: Array, labels: NDArray[np.int64], side: int) -> Array:
    draws = _Draws(uniform)
    cover = _outline(labels, draws, side)[..., None]
    shape_luminance, back_luminance = _luminances(draws)
    canvas = _surface(draws, coarse[:, 0], back_luminance, side)
    for _ in range(CLUTTER - 1):
        _clutter(draws, canvas, side)
    canvas += cover * (_surface(draws, coarse[:, 1], shape_luminance, side) - canvas)
    _clutter(draws, canvas, side)
    x, y = _grid(side)
    light = 1 + draws.between(-0.2, 0.2) * x + draws.between(-0.2, 0.2) * y
    return canvas * light[..., None] + grain * draws.between(0.01, 0.05)[..., None]


def render(split: str, indices: NDArray[np.int64], *, seed: int, side: int) -> NDArray[np.uint8]:
    """Images (N, side, side, 3) number `indices` of a split; image i is of class i modulo 10.

    Each depends on (seed, split, i) and `side` alone.
    """
    images = np.empty((len(indices), side, side, 3), dtype=np.uint8)
    count = max(1, CHUNK // side**2)
    for start in range(0, len(indices), count):
        chunk = indices[start : start + count]
        generators = [numpy_generator("shapes", seed, split, int(i)) for i in chunk]
        uniform = np.stack([g.random(DRAWS, dtype=np.float32) for g in generators])
        coarse = np.stack([g.random((2, COARSE, COARSE), dtype=np.float32) for g in generators])
        grain = np.stack([g.standard_normal((side, side, 3), dtype=np.float32) for g in generators])
        pixels = _paint(uniform, coarse, grain, chunk % len(CLASSES), side)
        images[start : start + count] = np.clip(np.rint(pixels * 255), 0, 255)
    return images


def generate_shapes(*, train: int, test: int, seed: int, image_size: int) -> LabelledImages:
    """Draw the data set; classes take turns, so any prefix is balanced."""
    train_indices, test_indices = np.arange(train), np.arange(test)
    return LabelledImages(
        train_images=render("train", train_indices, seed=seed, side=image_size),
        train_labels=train_indices % len(CLASSES),
        test_images=render("test", test_indices, seed=seed, side=image_size),
        test_labels=test_indices % len(CLASSES),
        classes=CLASSES,
        source={"kind": "shapes", "seed": seed},
    )
