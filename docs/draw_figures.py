"""Draw the figures of docs/how_it_works.md: `python docs/draw_figures.py`.

The photographs come with scikit-image; the views, mixtures and grids are drawn by the library.
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skimage import data, transform
from torch import Tensor

from triptych.augment.mixing import cutmix, cutout, mixup
from triptych.augment.views import draw_views
from triptych.radiance.hash_grid import HashGrid, level_resolutions

FOLDER = Path(__file__).parent
SIDE = 128
VIEWS = {
    "crop_scale": (0.2, 1.0),
    "jitter": (0.4, 0.4, 0.4, 0.1),
    "jitter_probability": 0.8,
    "grayscale_probability": 0.2,
    "blur_probability": 0.0,
}
BLUE, RED, GREY = "#0072b2", "#d55e00", "#707780"
matplotlib.rcParams["svg.hashsalt"] = "triptych"


def photographs() -> Tensor:
    """(4, 3, SIDE, SIDE) uint8, cut to the central square."""
    images = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        image = getattr(data, name)()
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        square = transform.resize(
            image[top : top + side, left : left + side], (SIDE, SIDE), anti_aliasing=True
        )
        images.append(torch.from_numpy((square * 255).astype(np.uint8)).permute(2, 0, 1))
    return torch.stack(images)


def show(axes: Axes, image: Tensor, title: str = "") -> None:
    """Draw an image (3, H, W) of 0..1."""
    axes.imshow(image.clamp(0, 1).permute(1, 2, 0))
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def draw_rows(name: str, columns: dict[str, Tensor]) -> None:
    """Write images (4, 3, H, W) side by side, a column for each title."""
    figure = Figure(figsize=(1.25 * len(columns), 4 * 1.25 + 0.2), layout="constrained")
    grid = figure.subplots(4, len(columns))
    for column, (title, images) in enumerate(columns.items()):
        for row in range(4):
            show(grid[row, column], images[row], title if row == 0 else "")
    figure.savefig(FOLDER / name, dpi=120, pil_kwargs={"quality": 88})


def draw_hash_grid(name: str) -> None:
    """Write three nested grids in two dimensions, with the corners around a point and their table."""
    figure = Figure(figsize=(8.4, 2.9), layout="constrained")
    panels = figure.subplots(1, 4, width_ratios=(1, 1, 1, 0.9))
    point = np.array((0.59, 0.41))
    for panel, resolution in zip(panels, level_resolutions(3, 4, 16), strict=False):
        ticks = np.linspace(0, 1, resolution + 1)
        panel.hlines(ticks, 0, 1, colors=GREY, linewidth=0.5)
        panel.vlines(ticks, 0, 1, colors=GREY, linewidth=0.5)
        low = np.floor(point * resolution)
        corners = np.array([low + np.array((x, y)) for x in (0, 1) for y in (0, 1)]) / resolution
        panel.scatter(*corners.T, color=BLUE, s=26, zorder=3)
        panel.scatter(*point, color=RED, s=26, zorder=4)
        panel.set_title(f"{resolution} cells a side", fontsize=9)
        panel.set_aspect("equal")
        panel.axis("off")
    table = panels[3]
    table.axis("off")
    rows = ["level 1:  f₁ f₂ f₃ f₄", "level 2:  f₁ f₂ f₃ f₄", "…", "level 8:  f₁ f₂ f₃ f₄"]
    for number, text in enumerate(rows):
        table.text(0, 0.8 - 0.2 * number, text, fontsize=9, family="monospace")
    table.text(0, 0.95, "features of the red point", fontsize=9)
    figure.savefig(FOLDER / name, metadata={"Date": None})


def main() -> None:
    """Write all figures."""
    images = photographs()
    generator = torch.Generator().manual_seed(3)
    views = draw_views(images, VIEWS, size=SIDE, mean=(0, 0, 0), std=(1, 1, 1), generator=generator, count=2)
    plain = images.float() / 255
    draw_rows("simclr_views.jpg", {"image": plain, "view 1": views[:4], "view 2": views[4:]})
    labels = torch.eye(4)
    mixed = {"image": plain}
    mixed["mixup"] = mixup(plain, labels, alpha=4.0, probability=1.0, generator=generator)[0]
    mixed["Cutout"] = cutout(plain, labels, size=SIDE // 4, probability=1.0, generator=generator)[0]
    mixed["CutMix"] = cutmix(plain, labels, alpha=1.0, probability=1.0, generator=generator)[0]
    draw_rows("mixing.jpg", mixed)
    assert HashGrid().width == 32, "docs/how_it_works.md says so"
    draw_hash_grid("hash_grid.svg")


if __name__ == "__main__":
    main()
