"""How fast are SimCLR's views drawn, compared with torchvision's transforms on PIL images?

Both crop to 32 pixels, mirror, jitter colours, convert to grey, normalise and collate, on one thread each, in
turns in one run.

- `views_per_second`, `pil_views_per_second` and their ratio, `augment_over_pil`.
- `two_thread_views_per_second`: the project's on two threads.
- `views_16_per_second`: the project's on one thread, at 16 pixels.
- `blurred_views_per_second`: the project's on one thread, half of the views blurred.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision import transforms as T

from triptych.augment.views import draw_views
from triptych.config.self_supervision import Views
from triptych.kernels.registry import operation
from triptych.workflow.seeds import torch_generator

BATCH, VIEWS_OF_EACH, ROUNDS = 128, 2, 15
BATCHES = 20  # of ours for one of torchvision's, so that a turn of either takes about as long
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
VIEWS = Views().model_dump()


def torchvision_views(pictures: list[Image.Image]) -> Callable[[], Tensor]:
    """The usual way: one picture at a time, and a batch of the results."""
    view = T.Compose(
        [
            T.RandomResizedCrop(32),
            T.RandomHorizontalFlip(),
            T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            T.RandomGrayscale(0.2),
            T.ToTensor(),
            T.Normalize(MEAN, STD),
        ]
    )
    return lambda: default_collate([view(picture) for _ in range(VIEWS_OF_EACH) for picture in pictures])


def own_views(images: Tensor, *, size: int = 32, blur: float = 0.0, batches: int) -> Callable[[], None]:
    """`batches` batches, of which each replaces the one before."""
    generator, views = torch_generator("cpu", 0), VIEWS | {"blur_probability": blur}
    options = {"size": size, "mean": MEAN, "std": STD, "render": operation("render_views", "cpu")}

    def draw() -> None:
        for _ in range(batches):
            draw_views(images, views, generator=generator, count=VIEWS_OF_EACH, **options)

    return draw


def measure() -> dict[str, float]:
    """Take turns, and return medians."""
    torch.manual_seed(0)
    # Their content changes nothing but the values.
    images = torch.randint(0, 256, (BATCH, 32, 32, 3), dtype=torch.uint8)
    pictures = [Image.fromarray(image.numpy()) for image in images]
    images = images.permute(0, 3, 1, 2)
    own = own_views(images, batches=BATCHES)
    turns: dict[str, tuple[int, int, Callable[[], object]]] = {  # threads, batches, what
        "views": (1, BATCHES, own),
        "pil_views": (1, 1, torchvision_views(pictures)),
        "two_thread_views": (2, BATCHES, own),
        "views_16": (1, BATCHES, own_views(images, size=16, batches=BATCHES)),
        "blurred_views": (1, BATCHES, own_views(images, blur=0.5, batches=BATCHES)),
    }
    rates: dict[str, list[float]] = {name: [] for name in turns}
    threads = torch.get_num_threads()
    try:
        for round_ in range(ROUNDS + 1):
            for name, (number, batches, draw) in turns.items():
                torch.set_num_threads(number)
                began = time.perf_counter()
                draw()
                taken = time.perf_counter() - began
                if round_:  # the first round warms up
                    rates[name].append(batches * BATCH * VIEWS_OF_EACH / taken)
    finally:
        torch.set_num_threads(threads)
    middle = {name: median(values) for name, values in rates.items()}
    return {
        "augment_over_pil": middle["views"] / middle["pil_views"],
        **{f"{name}_per_second": rate for name, rate in middle.items()},
    }
