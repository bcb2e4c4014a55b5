"""How far the picture moved between two frames, from small versions of them."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

Small = NDArray[np.float32]

SMALL_SIDE = 64  # pixels: large enough to tell half a percent of motion, small enough to keep thousands


def small_version(grey: NDArray[np.uint8]) -> Small:
    """The means of square cells of a (height, width) image, whose longer side has 64 to 127 of them.

    They are smoothed so that differences between cells are a slope.
    """
    cell = max(1, max(grey.shape) // SMALL_SIDE)
    height, width = (max(1, side // cell) for side in grey.shape)
    cells = grey[: height * cell, : width * cell].astype(np.float32)
    means = cells.reshape(height, min(cell, grey.shape[0]), width, -1).mean(axis=(1, 3))
    return gaussian_filter(means, 1)


def _standardised(small: Small) -> Small:
    return (small - small.mean()) / max(float(small.std()), 1e-6)


def motion(first: Small, second: Small) -> float:
    """How far the picture moved, as a fraction of its longer side; infinite if the sizes differ.

    A small motion is the ratio of the change in time to the change in space, as in optical flow (Horn and
    Schunck, "Determining optical flow", 1981). From about one cell on this ratio saturates; there the shift
    by phase correlation (Kuglin and Hines, 1975) is used if it is larger. Brightness and contrast do not
    count.

    Args:
        first, second: results of `small_version`.
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
