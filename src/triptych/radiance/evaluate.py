"""Held-out views: renderings compared with photographs (the formulas are in `metrics`).

The PSNR of a scene is the mean of its views' PSNRs. `evaluate_views` measures it on all pixels, of 8-bit
images; `HeldoutPixels.psnr` estimates it during training, from some pixels of each view.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from triptych.radiance.composite import over
from triptych.radiance.metrics import WINDOW, image_psnr, image_ssim, psnr
from triptych.radiance.normals import image_normals
from triptych.radiance.ray_sampler import RaySampler, read_images, read_masks
from triptych.radiance.render import RadianceField, RenderedImage, render_image, render_rays
from triptych.scenes.cameras import Cameras
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

COLOURMAP = "turbo_r"  # near is red
ERROR_COLOURMAP, MAX_ERROR = "magma", 0.25  # black is no error, white this error or more
VIEW_PIXELS = 2**10  # pixels of each view that the curve of a training is measured on


def check_sides(scene: Scene, downscale: int) -> None:
    """Raise `TriptychError` if an image is too small for SSIM, which is measured after hours of training."""
    smallest = int(scene.cameras.size.amin())
    if smallest < WINDOW:
        raise TriptychError(
            f"{scene.files[0].parent}: downscale {downscale} leaves images with a side of {smallest} "
            f"pixels, but structural similarity needs {WINDOW}; use a smaller downscale or larger images"
        )


def to_bytes(image: Tensor | np.ndarray) -> np.ndarray:
    """Values in [0, 1] as rounded uint8."""
    array = np.asarray(image.cpu() if isinstance(image, Tensor) else image)
    return (array * 255 + 0.5).clip(0, 255).astype(np.uint8)


def depth_colours(picture: RenderedImage) -> np.ndarray:
    """Depth as colours, (h, w, 3) uint8: near red, far blue, white at opacities up to 0.5."""
    depth, solid = picture.depth.cpu().numpy(), picture.opacity.cpu().numpy() > 0.5
    if not solid.any():
        return np.full((*depth.shape, 3), 255, np.uint8)
    low, high = np.percentile(depth[solid], [1, 99])
    colours = matplotlib.colormaps[COLOURMAP]((depth - low) / max(high - low, 1e-6))[..., :3]
    return to_bytes(np.where(solid[..., None], colours, 1.0))


def normal_colours(picture: RenderedImage, cameras: Cameras, index: int) -> np.ndarray:
    """Normals as colours, (h, w, 3) uint8: x, y, z from -1 to 1 as 0 to 255; white at opacities up to 0.5."""
    solid = picture.opacity > 0.5
    colours = (image_normals(picture, cameras, index) + 1) / 2
    return to_bytes(colours.where(solid[..., None], colours.new_ones(())))


def error_colours(image: np.ndarray, truth: np.ndarray, unmasked: np.ndarray | None) -> np.ndarray:
    """Mean absolute difference of the channels as colours, (h, w, 3) uint8; masked pixels are grey.

    Images are (h, w, 3) in [0, 1]; `unmasked` is (h, w) bool, or None for all.
    """
    error = np.abs(image - truth).mean(axis=-1)
    colours = to_bytes(matplotlib.colormaps[ERROR_COLOURMAP](error / MAX_ERROR)[..., :3])
    return colours if unmasked is None else np.where(unmasked[..., None], colours, np.uint8(128))


class HeldoutPixels:
    """A fixed random sample of each held-out view's unmasked pixels, on the generator's device."""

    def __init__(self, scene: Scene, index: list[int], *, generator: torch.Generator) -> None:
        device = generator.device
        self.cameras = scene.cameras.to(device).select(index)
        # one view after the other: only the sampled pixels stay in memory
        samples = [
            RaySampler.of_scene(scene, [view], device).sample(VIEW_PIXELS, generator) for view in index
        ]
        self.centres = [centres for _, centres, _ in samples]
        self.values = [values for _, _, values in samples]

    def psnr(self, radiance: RadianceField) -> float:
        """Mean over the views of the PSNR in dB of their sampled pixels, of unrounded colours."""
        device = radiance.background.device
        image = torch.arange(len(self.cameras), device=device).repeat_interleave(VIEW_PIXELS)
        rendered = render_rays(radiance, *self.cameras.rays(image, torch.cat(self.centres)))
        colours = rendered.over(radiance.background).clamp(0, 1).split(VIEW_PIXELS)
        errors = [
            float((colour - over(values, radiance.background)).square().mean())
            for colour, values in zip(colours, self.values, strict=True)
        ]
        return float(np.mean([psnr(error) for error in errors]))


def save_view(
    folder: Path,
    folder_name: str,
    name: str,
    render: np.ndarray,
    *,
    truth: np.ndarray,
    unmasked: np.ndarray | None,
    others: dict[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Measure a rendering and save it as `NAME_render.png`, with `NAME_truth.png` and `NAME_error.png`.

    The 8-bit picture (h, w, 3) is measured, over pixels `unmasked` (h, w), None for all; `truth` is in [0,
    1]. `others` are more pictures, by what they show. Returns the view's entry in views.json: `name`, `psnr`,
    `ssim`, and the pictures' file names, in `folder_name`.
    """
    values = render / 255
    pictures = {
        "truth": to_bytes(truth),
        "render": render,
        "error": error_colours(values, truth, unmasked),
        **(others or {}),
    }
    for kind, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}_{kind}.png")
    return {
        "name": name,
        "psnr": image_psnr(values, truth, unmasked),
        "ssim": image_ssim(values, truth, unmasked),
        **{kind: f"{folder_name}/{name}_{kind}.png" for kind in pictures},
    }


def mean_quality(views: list[dict[str, Any]]) -> dict[str, float]:
    """Mean `psnr` and `ssim` of the views."""
    return {measure: float(np.mean([view[measure] for view in views])) for measure in ("psnr", "ssim")}


def evaluate_views(
    scene: Scene, radiance: RadianceField, index: list[int], folder: Path, *, folder_name: str
) -> dict[str, Any]:
    """Render views, measure them, and save pictures: see `save_view`; `_depth` and `_normal` in addition.

    Images with alpha are compared over the field's background, masked pixels not at all. Returns the mean
    `psnr` and `ssim`, and the same with file names, below `folder_name`, for each of `views`.
    """
    cameras = scene.cameras.to(radiance.background.device)
    views: list[dict[str, Any]] = []
    with Progress(len(index), "held-out views", unit="view") as progress:
        for position in index:
            (photograph,), (mask,) = read_images(scene, [position]), read_masks(scene, [position])
            picture = render_image(radiance, cameras, position)
            view = save_view(
                folder,
                folder_name,
                scene.names[position],
                to_bytes(picture.colour),
                truth=over(photograph.float() / 255, radiance.background.cpu()).numpy(),
                unmasked=None if mask is None else mask.numpy(),
                others={
                    "depth": depth_colours(picture),
                    "normal": normal_colours(picture, cameras, position),
                },
            )
            views.append(view)
            progress.update(1, psnr=view["psnr"])
    return {**mean_quality(views), "views": views}
