"""The training set: every pixel of every training image, kept as bytes and drawn at random."""

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.scenes.images import cut_out, read_image, read_mask
from triptych.scenes.scene import Scene


def read_images(scene: Scene, index: list[int]) -> list[Tensor]:
    """The images at these positions of the scene, (h, w, 3 or 4) uint8 each.

    Where a mask says that space is empty, they are transparent.
    """
    sizes = [(width, height) for width, height in scene.cameras.size.tolist()]
    images = [read_image(scene.files[i], sizes[i]) for i in index]
    masks = [scene.masks[i] for i in index]
    return [
        cut_out(image, mask, sizes[i]) if mask is not None and mask.empty else image
        for i, image, mask in zip(index, images, masks, strict=True)
    ]


def read_masks(scene: Scene, index: list[int]) -> list[Tensor | None]:
    """The pixels of these images that count, (h, w) bool each; None for an image of which all do."""
    sizes = scene.cameras.size.tolist()
    masks = [(scene.masks[i], (sizes[i][0], sizes[i][1])) for i in index]
    return [None if mask is None or mask.empty else read_mask(mask, size) for mask, size in masks]


class RaySampler:
    """Samples pixels of n images, kept in one (total, 3 or 4) uint8 tensor; sizes may differ.

    If one image has alpha, the others get opaque alpha. `masks` are the pixels that may be drawn, (h, w)
    bool, or None for all of an image; they cost 4 bytes per such pixel of all images, nothing if all are
    None.
    """

    def __init__(
        self, images: list[Tensor], device: torch.device, masks: Sequence[Tensor | None] = ()
    ) -> None:
        self.has_alpha = any(image.shape[-1] == 4 for image in images)
        flat = [image.reshape(-1, image.shape[-1]) for image in images]
        if self.has_alpha:
            flat = [torch.cat([f, torch.full_like(f[:, :1], 255)], 1) if f.shape[1] == 3 else f for f in flat]
        self.values = torch.cat(flat).to(device)
        sizes = torch.tensor([len(f) for f in flat], device=device)
        self.ends = sizes.cumsum(0)
        self.starts = self.ends - sizes
        self.widths = torch.tensor([image.shape[1] for image in images], device=device)
        self.unmasked: Tensor | None = None  # positions in `values`
        if any(mask is not None for mask in masks):
            number = torch.int32 if len(self.values) < 2**31 else torch.int64
            kept: list[Tensor] = []
            for start, f, mask in zip(self.starts.tolist(), flat, masks, strict=True):
                within = torch.arange(len(f)) if mask is None else mask.flatten().nonzero()[:, 0]
                kept.append((start + within).to(number))
            self.unmasked = torch.cat(kept).to(device)

    @classmethod
    def of_scene(cls, scene: Scene, index: list[int], device: torch.device) -> "RaySampler":
        """A sampler of these images of a scene, without their masked pixels."""
        return cls(read_images(scene, index), device, read_masks(scene, index))

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw unmasked pixels uniformly, with replacement.

        Returns the image (m,) int64, the coordinates of the pixel centres (m, 2) float32, and the values (m,
        3 or 4) float32 in [0, 1].
        """
        total = len(self.values if self.unmasked is None else self.unmasked)
        chosen = torch.randint(total, (count,), generator=generator, device=self.values.device)
        if self.unmasked is not None:
            chosen = self.unmasked.index_select(0, chosen).long()
        image = torch.searchsorted(self.ends, chosen, right=True)
        within = chosen - self.starts[image]
        width = self.widths[image]
        centres = torch.stack([within % width, within // width], dim=-1).float() + 0.5
        return image, centres, self.values.index_select(0, chosen).float() / 255
