"""Held-out views: renderings compared with photographs, in two ways (the formulas are in `metrics`).

`HeldoutPixels.psnr` is the PSNR of a training's curve: a fixed sample of pixels, pooled over all views.
`evaluate_views` gives the PSNR and SSIM of the reports: means over whole views, as 8-bit images.
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
HELDOUT_PIXELS = 2**12


def check_sides(scene: Scene, downscale: int) -> None:
    """Raise `TriptychError` if an image, made smaller by `downscale`, is too small for SSIM.

    SSIM is measured after hours of training, so this is checked first.
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


class HeldoutPixels:
    """A fixed random sample of the held-out views' unmasked pixels, for the curve of a training.

    Args:
        scene: the photographs and their cameras.
        index: positions of the held-out views in the scene.
        generator: source of the sample; its device keeps the pixels.
    """

    def __init__(self, scene: Scene, index: list[int], *, generator: torch.Generator) -> None:
        device = generator.device
        self.cameras = scene.cameras.to(device).select(index)
        sampler = RaySampler.of_scene(scene, index, device)  # freed: only the sampled pixels stay in memory
        self.image, self.centres, self.values = sampler.sample(HELDOUT_PIXELS, generator)

    def psnr(self, radiance: RadianceField) -> float:
        """PSNR in dB of all sampled pixels together, of unrounded colours."""
        rendered = render_rays(radiance, *self.cameras.rays(self.image, self.centres))
        error = rendered.over(radiance.background).clamp(0, 1) - over(self.values, radiance.background)
        return psnr(float(error.square().mean()))


def evaluate_views(
    scene: Scene, radiance: RadianceField, index: list[int], folder: Path, *, folder_name: str
) -> dict[str, Any]:
    """Render views, save pictures, and measure.

    For each view, `NAME_truth.png`, `_render`, `_depth` and `_normal` go to `folder`.
    Images with alpha are compared over the field's background, masked pixels not at all.

    Args:
        scene: the photographs and their cameras.
        radiance: the trained field.
        index: positions of the views in the scene.
        folder: existing folder for the pictures; it may be temporary.
        folder_name: folder in the file names of the result.

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
            measures = {
                "psnr": image_psnr(render / 255, truth, unmasked),
                "ssim": image_ssim(render / 255, truth, unmasked),
            }
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
            views.append({"name": name, **measures, **files})
            progress.update(1, psnr=measures["psnr"])
    return {
        "psnr": float(np.mean([view["psnr"] for view in views])),
        "ssim": float(np.mean([view["ssim"] for view in views])),
        "views": views,
    }
