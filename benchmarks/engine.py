"""How fast is a SimCLR step against float32 in the usual memory layout, and against the matrix units?

Pairs are measured alternately in one run, so that other work on the machine hits both alike.

- `step_over_float32`: images/s of the engine's step (automatic precision, channels_last) over the
  same step in float32, NCHW.
- `step_over_matmul_ceiling`: the step's FLOP/s over a 4096 x 4096 x 4096 bfloat16 product's.
- `step_outside_model`: share of the step that is not forward, backward or optimizer.
"""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from triptych.classify.simclr import draw_view
from triptych.nn.heads import projection_head
from triptych.nn.nt_xent import nt_xent
from triptych.nn.resnet import ResNet18
from triptych.run.devices import autocast, choose_device
from triptych.run.seeds import torch_generator
from triptych.training.allocator import keep_large_allocations

BATCH, ROUNDS = 128, 4
FORWARD_FLOPS = 2 * 556_651_520  # of ResNet18 on one 32x32 image: multiply-adds of convolutions, twice
VIEWS = {
    "crop_scale": [0.08, 1.0],
    "jitter": [0.4, 0.4, 0.4, 0.1],
    "jitter_probability": 0.8,
    "grayscale_probability": 0.2,
    "blur_probability": 0.5,
}


def _seconds(function: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


class _Step:
    """One SimCLR step, with its augmentation timed apart."""

    def __init__(self, device: torch.device, precision: str, layout: torch.memory_format) -> None:
        torch.manual_seed(0)
        self.device, self.precision, self.layout = device, precision, layout
        encoder = ResNet18()
        model = nn.Sequential(encoder, projection_head(encoder.features, 512, 128))
        self.model = model.to(memory_format=layout).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9)
        self.images = torch.rand(BATCH, 3, 32, 32, device=device)
        self.generator = torch_generator(device, 0)

    def views(self) -> torch.Tensor:
        pixels = draw_view(self.images.repeat(2, 1, 1, 1), VIEWS, self.generator)
        return pixels.contiguous(memory_format=self.layout)

    def learn(self, views: torch.Tensor) -> None:
        with autocast(self.device, self.precision):
            loss = nt_xent(self.model(views), 0.5)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def measure() -> dict[str, float]:
    """Run the three measurements alternately and return medians."""
    device = choose_device("auto")
    if device.type == "cpu":
        keep_large_allocations()
    fast = _Step(device, "auto", torch.channels_last)
    plain = _Step(device, "float32", torch.contiguous_format)
    square = torch.rand(4096, 4096, device=device, dtype=torch.bfloat16)
    times: dict[str, list[float]] = {"augment": [], "fast": [], "plain": [], "matmul": []}
    for round_ in range(ROUNDS + 1):
        views = fast.views()
        sample = {
            "augment": _seconds(fast.views, device),
            "fast": _seconds(partial(fast.learn, views), device),
            "plain": _seconds(lambda: plain.learn(plain.views()), device),
            "matmul": _seconds(lambda: square @ square, device),
        }
        if round_:  # the first round warms up
            for name, seconds in sample.items():
                times[name].append(seconds)
    median = {name: float(torch.tensor(values).median()) for name, values in times.items()}
    step = median["augment"] + median["fast"]
    flops = 3 * FORWARD_FLOPS * 2 * BATCH
    return {
        "images_per_second": BATCH / step,
        "step_over_float32": median["plain"] / step,
        "step_over_matmul_ceiling": (flops / step) / (2 * 4096**3 / median["matmul"]),
        "step_outside_model": median["augment"] / step,
    }
