"""How far the picture moved between two frames, from small versions of them."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

Small = NDArray[np.float32]

SMALL_SIDE = 64  # pixels: large enough to tell half a percent of motion, small enough to keep thousands


def cell_means(grey: NDArray[np.uint8], cell: int) -> NDArray[np.float32]:
    """The means of cells of `cell` x `cell` pixels of a (height, width) image; the rest is cut off."""
    down, across = (min(cell, side) for side in grey.shape)
    height, width = grey.shape[0] // down, grey.shape[1] // across
    cells = grey[: height * down, : width * across].astype(np.float32)
    return cells.reshape(height, down, width, across).mean(axis=(1, 3))


def small_version(grey: NDArray[np.uint8]) -> Small:
    """A (height, width) image as 64 to 127 cells along its longer side, smoothed to have slopes."""
    return gaussian_filter(cell_means(grey, max(1, max(grey.shape) // SMALL_SIDE)), 1)


def _standardised(small: Small) -> Small:
    return (small - small.mean()) / max(float(small.std()), 1e-6)


def motion(first: Small, second: Small) -> float:
    """How far the picture of a `small_version` moved to another, as a fraction of its longer side.

    A small motion is the ratio of the change in time to the change in space, as in optical flow (Horn and
    Schunck, "Determining optical flow", 1981). From about one cell on this ratio saturates; there the shift
    by phase correlation (Kuglin and Hines, 1975) is used if it is larger. Brightness and contrast do not
    count. Infinite if the sizes differ.
    """
    if first.shape != second.shape:
        return np.inf
    one, other = _standardised(first), _standardised(second)
    down, right = np.gradient((one + other) / 2)
    slope = max(float(np.mean(down**2 + right**2)), 1e-12)
    cells = float(np.sqrt(2 * np.mean((one - other) ** 2) / slope))
    if cells > 1:
        taper = np.outer(np.hanning(one.shape[0]), np.hanning(one.shape[1]))
        shift, _, _ = phase_cross_correlation(one * taper, other * taper)
        cells = max(cells, float(np.hypot(*shift)))
    return cells / max(first.shape)
