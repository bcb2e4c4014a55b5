"""How close a rendered image is to a photograph."""

import numpy as np
from skimage.metrics import structural_similarity


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of values in [0, 1], from their mean squared error."""
    return float(-10 * np.log10(max(squared_error, 1e-12)))


def image_psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB of (h, w, 3) images in [0, 1]."""
    return psnr(float(np.mean((image.astype(np.float64) - truth) ** 2)))


def image_ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of (h, w, 3) images in [0, 1], with the constants of Wang et al. 2004."""
    value = structural_similarity(
        image.astype(np.float64),
        truth.astype(np.float64),
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)
