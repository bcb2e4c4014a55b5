"""How close a rendered image is to a photograph."""

import numpy as np
from skimage.metrics import structural_similarity

SIGMA, TRUNCATE = 1.5, 3.5  # SSIM's Gaussian window: standard deviation in pixels, radius in deviations
WINDOW = 2 * round(SIGMA * TRUNCATE) + 1  # pixels


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB, -10 log10(MSE), of values in [0, 1] from their mean squared error."""
    return float(-10 * np.log10(max(squared_error, 1e-12)))


def image_psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """PSNR in dB of (h, w, 3) images in [0, 1], over the pixels where `mask` (h, w) is True."""
    squared = (image.astype(np.float64) - truth) ** 2
    return psnr(float(np.mean(squared if mask is None else squared[mask])))


def image_ssim(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Structural similarity of (h, w, 3) images in [0, 1], with the constants of Wang et al. 2004.

    With a mask (h, w), it is the mean over the windows around pixels where the mask is True, and
    what lies elsewhere inside these windows counts as equal. As without a mask, only windows that
    lie in the image count, unless the mask leaves none of them.
    """
    image, truth = image.astype(np.float64), truth.astype(np.float64)
    if mask is not None:
        truth = np.where(mask[..., None], truth, image)
    value, windows = structural_similarity(
        image,
        truth,
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=SIGMA,
        truncate=TRUNCATE,
        use_sample_covariance=False,
        full=True,
    )
    if mask is None:
        return float(value)
    border = WINDOW // 2
    whole = np.zeros_like(mask)
    whole[border:-border, border:-border] = True
    return float(windows[mask & whole if (mask & whole).any() else mask].mean())
