"""Held-out views: photographs beside renderings, with PSNR and SSIM."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image
from torch import Tensor

from triptych.radiance.composite import over
from triptych.radiance.metrics import WINDOW, image_psnr, image_ssim
from triptych.radiance.normals import picture_normals
from triptych.radiance.ray_sampler import read_images, read_masks
from triptych.radiance.render import Picture, RadianceField, render_image
from triptych.scenes.cameras import Cameras
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

COLOURMAP = "turbo_r"  # near is red


def check_sides(scene: Scene, downscale: int) -> None:
    """Raise `TriptychError` unless every image, made smaller by `downscale`, can be compared later.

    Held-out views are measured after hours of training, so this is checked before.
    """
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


def depth_colours(picture: Picture) -> np.ndarray:
    """Depth as colours, (h, w, 3) uint8: near red, far blue, white where little is opaque."""
    depth, solid = picture.depth.cpu().numpy(), picture.opacity.cpu().numpy() > 0.5
    if not solid.any():
        return np.full((*depth.shape, 3), 255, np.uint8)
    low, high = np.percentile(depth[solid], [1, 99])
    colours = matplotlib.colormaps[COLOURMAP]((depth - low) / max(high - low, 1e-6))[..., :3]
    return to_bytes(np.where(solid[..., None], colours, 1.0))


def normal_colours(picture: Picture, cameras: Cameras, index: int) -> np.ndarray:
    """Normals as colours, (h, w, 3) uint8: x, y, z from -1 to 1 as 0 to 255; white where little is opaque."""
    solid = picture.opacity > 0.5
    colours = (picture_normals(picture, cameras, index) + 1) / 2
    return to_bytes(colours.where(solid[..., None], colours.new_ones(())))


def evaluate_views(
    scene: Scene, radiance: RadianceField, index: list[int], folder: Path, *, folder_name: str
) -> dict[str, Any]:
    """Render views, save pictures, and measure.

    For each view, `NAME_truth.png`, `_render`, `_depth` and `_normal` go to `folder`.
    Images with alpha are compared over the field's background, masked pixels not at all.

    Args:
        scene: where the photographs and their cameras are.
        radiance: the trained field.
        index: positions of the views in the scene.
        folder: an existing folder.
        folder_name: folder of the file names in the result; `folder` may be a temporary one.

    Returns:
        Mean `psnr` and `ssim`, and the same with file names for each of `views`.
    """
    cameras = scene.cameras.to(radiance.background.device)
    views: list[dict[str, Any]] = []
    with Progress(len(index), "held-out views", unit="view") as progress:
        for position in index:
            (photograph,), (mask,) = read_images(scene, [position]), read_masks(scene, [position])
            unmasked = None if mask is None else mask.numpy()
            truth = over(photograph.float() / 255, radiance.background.cpu()).numpy()
            picture = render_image(radiance, cameras, position)
            # the saved 8-bit picture is measured
            render = to_bytes(picture.colour)
            psnr, ssim = image_psnr(render / 255, truth, unmasked), image_ssim(render / 255, truth, unmasked)
            name = scene.names[position]
            files = {}
            pictures = {
                "truth": to_bytes(truth),
                "render": render,
                "depth": depth_colours(picture),
                "normal": normal_colours(picture, cameras, position),
            }
            for kind, pixels in pictures.items():
                Image.fromarray(pixels).save(folder / f"{name}_{kind}.png")
                files[kind] = f"{folder_name}/{name}_{kind}.png"
            views.append({"name": name, "psnr": psnr, "ssim": ssim, **files})
            progress.update(1, psnr=psnr)
    return {
        "psnr": float(np.mean([view["psnr"] for view in views])),
        "ssim": float(np.mean([view["ssim"] for view in views])),
        "views": views,
    }
