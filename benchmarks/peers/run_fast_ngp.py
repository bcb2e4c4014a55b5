"""Train fast-ngp on a prepared scene, and render its held-out views.

fast-ngp 0.1.0 has a model, a renderer and a trainer, but no loader of photographs (the one it has
puts noise in their place), no lens and no command line. So it is handed rays and colours, which
are exactly those of the scene's cameras, lens included, and is judged on the same pixels as all.

Its defaults, with what its users must choose anyway chosen in its favour:
- the box and the depths that hold the scene (`bound`, `near`, `far`; 1, 0 and 1 by default);
- RAYS a step, not 8192, of which ten minutes on a few cores are some hundred steps: in the same time,
  more and smaller steps get further (fox, a minute on one core: 18.9 dB with 256 rays, 16.3 with 1024);
- batches drawn at once, not put together ray by ray by the loader's workers;
- its 20 epochs, at whose ends the learning rate falls, are twentieths of the time;
- no random shift of the samples while rendering.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from contestant import arguments, contest, save_picture, split_names
from fast_ngp.models.fast_nerf import FastNGP_NeRF
from fast_ngp.utils.dataset import SimpleNeRFDataset
from fast_ngp.utils.trainer import NeRFTrainer
from PIL import Image
from torch import Tensor

RAYS = 256
NEAR, FAR = 0.5, 3.0  # in unit cubes; of several tried on the fox, these do best
EPOCHS = 20
RENDERED_AT_ONCE = 512  # rays


class TimedBatches:
    """Batches of random rays until `deadline`, in the place of the trainer's loader."""

    def __init__(self, rays: Tensor, colours: Tensor, size: int) -> None:
        self.rays, self.colours, self.size = rays, colours, size
        self.deadline, self.drawn = 0.0, 0

    def __len__(self) -> int:
        return max(1, self.drawn)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while time.monotonic() < self.deadline:
            index = torch.randint(len(self.rays), (self.size,))
            self.drawn += 1
            yield {"rays": self.rays[index], "rgbs": self.colours[index].float() / 255}


def rays_of(scene: Path, name: str) -> Tensor:
    """Origins and directions of one image's pixels: (h, w, 6)."""
    with np.load(scene / "rays" / f"{name}.npz") as rays:
        directions = torch.from_numpy(rays["directions"])
        return torch.cat([torch.from_numpy(rays["origin"]).expand_as(directions), directions], dim=-1)


def colours_of(scene: Path, name: str) -> Tensor:
    """One image's pixels: (h·w, 3) uint8."""
    with Image.open(scene / "images" / f"{name}.png") as image:
        return torch.from_numpy(np.array(image)).reshape(-1, 3)


def build(box: float) -> FastNGP_NeRF:
    """The default model, for a scene in a box of this side about the origin."""
    model = FastNGP_NeRF(bound=box / 2)
    model.renderer.near, model.renderer.far = NEAR, FAR
    return model


def train(model: FastNGP_NeRF, scene: Path, output: Path, seconds: float) -> dict[str, float]:
    """Train for `seconds`."""
    names, _ = split_names(scene)
    rays = torch.cat([rays_of(scene, name).reshape(-1, 6) for name in names])
    colours = torch.cat([colours_of(scene, name) for name in names])
    dataset = SimpleNeRFDataset.from_tensors(rays[:, :3], rays[:, 3:], None, colours)
    trainer = NeRFTrainer(
        model, dataset, num_epochs=EPOCHS, device="cpu", checkpoint_dir=str(output / "checkpoints")
    )
    trainer.train_loader = batches = TimedBatches(rays, colours, RAYS)
    began = time.monotonic()
    for epoch in range(EPOCHS):
        batches.deadline = began + seconds * (epoch + 1) / EPOCHS
        trainer.train_epoch(epoch + 1)
        trainer.scheduler.step()
    return {"steps": batches.drawn, "seconds": time.monotonic() - began, "rays_per_step": RAYS}


def render(model: FastNGP_NeRF, scene: Path, output: Path) -> None:
    """Render all held-out views."""
    model.eval()
    model.renderer.perturb = False
    for name in split_names(scene)[1]:
        rays = rays_of(scene, name)
        with torch.inference_mode():
            parts = [
                model.render_rays(part[:, :3], part[:, 3:])["rgb"]
                for part in rays.reshape(-1, 6).split(RENDERED_AT_ONCE)
            ]
        save_picture(output, name, torch.cat(parts).reshape(*rays.shape[:2], 3).numpy())


def main() -> None:
    """Train and render."""
    scene, output, seconds = arguments()
    torch.manual_seed(0)
    with np.load(scene / "box.npz") as box:
        model = build(float(box["side"]))
    contest(output, lambda: train(model, scene, output, seconds), lambda: render(model, scene, output))


if __name__ == "__main__":
    main()
