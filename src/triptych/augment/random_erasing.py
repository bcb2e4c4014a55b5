"""Random erasing: Zhong et al., Random Erasing Data Augmentation, 2020."""

import torch
from torch import Tensor

from triptych.augment.geometry import draw_crops, inside_boxes

AREA = (0.02, 0.4)  # range of the erased fraction of the image
RATIO = (0.3, 1 / 0.3)  # range of the aspect ratio


def random_erasing(images: Tensor, *, probability: float, generator: torch.Generator) -> Tensor:
    """Fill a rectangle, entirely inside, of some normalised images with normal noise of deviation 1 at each
    pixel.
    """
    n, _, height, width = images.shape
    device = images.device
    boxes = draw_crops(n, height, width, scale=AREA, ratio=RATIO, generator=generator)
    chosen = torch.rand(n, generator=generator, device=device) < probability
    # Drawn contiguously, which is fast, then copied to the memory format of the images.
    noise = torch.empty_like(images).copy_(torch.randn(images.shape, generator=generator, device=device))
    rows, columns = inside_boxes(boxes, height, width)
    mask = (rows & chosen.view(-1, 1)).view(n, 1, height, 1) & columns.view(n, 1, 1, width)
    return torch.where(mask, noise, images)
