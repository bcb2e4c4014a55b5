"""Held-out views: renderings compared with photographs (the formulas are in `metrics`).

The PSNR of a scene is the mean of its views' PSNRs. `evaluate_views` measures it on all pixels, of 8-bit
images; `HeldoutPixels.psnr` estimates it during training, from some pixels of each view.
"""

from collections.abc import Callable
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

Pictures = dict[str, np.ndarray]


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


def measure_views(
    scene: Scene,
    index: list[int],
    folder: Path,
    *,
    folder_name: str,
    background: Tensor,
    show: Callable[[int], Pictures],
) -> dict[str, Any]:
    """Measure held-out views against their photographs, and save pictures of them.

    `show` renders a view of the scene: 8-bit pictures by what they show, of which `render` (h, w, 3) is
    measured. They are saved as `NAME_render.png` and the like, with `NAME_truth.png` and `NAME_error.png`.
    Images with alpha are compared over the background (3,), masked pixels not at all. Returns the mean `psnr`
    and `ssim`, and for each of `views` its `name`, both, and the pictures' file names, below `folder_name`.
    """
    views: list[dict[str, Any]] = []
    with Progress(len(index), "held-out views", unit="view") as progress:
        for position in index:
            name, others = scene.names[position], show(position)
            (photograph,), (mask,) = read_images(scene, [position]), read_masks(scene, [position])
            truth = over(photograph.float() / 255, background).numpy()
            unmasked = None if mask is None else mask.numpy()
            render = others.pop("render")
            values = render / 255
            error = error_colours(values, truth, unmasked)
            pictures = {"truth": to_bytes(truth), "render": render, "error": error, **others}
            for kind, pixels in pictures.items():
                Image.fromarray(pixels).save(folder / f"{name}_{kind}.png")
            view: dict[str, Any] = {
                "name": name,
                "psnr": image_psnr(values, truth, unmasked),
                "ssim": image_ssim(values, truth, unmasked),
                **{kind: f"{folder_name}/{name}_{kind}.png" for kind in pictures},
            }
            views.append(view)
            progress.update(1, psnr=view["psnr"])
    means = {measure: float(np.mean([view[measure] for view in views])) for measure in ("psnr", "ssim")}
    return {**means, "views": views}


def evaluate_views(
    scene: Scene, radiance: RadianceField, index: list[int], folder: Path, *, folder_name: str
) -> dict[str, Any]:
    """`measure_views` of a field, over its background; with pictures of depth and normals."""
    cameras = scene.cameras.to(radiance.background.device)

    def show(position: int) -> Pictures:
        picture = render_image(radiance, cameras, position)
        return {
            "render": to_bytes(picture.colour),
            "depth": depth_colours(picture),
            "normal": normal_colours(picture, cameras, position),
        }

    background = radiance.background.cpu()
    return measure_views(scene, index, folder, folder_name=folder_name, background=background, show=show)
