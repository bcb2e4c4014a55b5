"""How fast is a ViT's training step, compared with float32 and with the hardware's limit?

All are measured in turns in one run, so that other work on the machine slows them down alike. Each trains the
config's ViT (patch 4, 512 x 6, MLP 1024; no dropout) by AdamW on batches of 128 images of 32x32 with CutMix;
augmentation counts.

- `images_per_second`: the step with automatic precision.
- `vit_step_over_float32`: over the same step in float32, with attention by explicit products.
- `vit_over_matmul_ceiling`: the step's FLOP/s over a 4096 x 4096 x 4096 product's in the same format.
- `dropout_step_over_float32`: as `vit_step_over_float32`, both with the report's dropout of 0.1.
- `step_outside_model`: share of the step that is not forward, backward or optimizer.
"""

import logging
import time
from statistics import median

import torch
import torch.nn.functional as F

from benchmarks._matmul import PRODUCT_FLOPS, matmul_seconds
from triptych.augment.augmentation import make_augmentation
from triptych.config.training import Training
from triptych.experiments.operation_count import forward_flops, training_flops
from triptych.kernels.registry import accelerate
from triptych.models.vit import ViT
from triptych.training.memory import keep_large_allocations
from triptych.training.optimizer import make_optimizer
from triptych.workflow.devices import autocast, choose_device
from triptych.workflow.seeds import torch_generator

log = logging.getLogger("triptych")

CLASSES, SIDE, BATCH, ROUNDS = 100, 32, 128, 7
SHARED = {"padding": 4, "flip": 0.5, "degrees": 15}
CUTMIX = {"method": "cutmix", "alpha": 0.4, "probability": 1.0}
RECIPE = Training(optimizer="adamw", learning_rate=0.001, weight_decay=0.05, decay_biases=False).model_dump()
STEPS = {"own": 2, "float32": 1, "dropout": 1, "dropout_float32": 1, "matmul": 3}


class Step:
    """A training step, with its augmentation timed apart."""

    def __init__(self, device: torch.device, precision: str, dropout: float) -> None:
        torch.manual_seed(0)
        self.device, self.precision = device, precision
        self.model = accelerate(ViT(CLASSES, SIDE, dropout=dropout).to(device))
        self.optimizer = make_optimizer(self.model, RECIPE | {"precision": precision})
        self.images = torch.rand(BATCH, 3, SIDE, SIDE, device=device)
        self.labels = F.one_hot(torch.arange(BATCH, device=device) % CLASSES, CLASSES).float()
        self.generator = torch_generator(device, 0)
        self.augment = make_augmentation(SHARED, CUTMIX, lambda x: (x - 0.5) / 0.25)
        self.augmenting = 0.0  # seconds of the latest step

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, steps: int) -> float:
        """Seconds a step, over so many; `augmenting` is set to those of the augmentation."""
        self.augmenting, began = 0.0, self._now()
        for _ in range(steps):
            start = self._now()
            images, labels = self.augment(self.images, self.labels, self.generator)
            self.augmenting += (self._now() - start) / steps
            with autocast(self.device, self.precision):
                loss = F.cross_entropy(self.model(images).float(), labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return (self._now() - began) / steps


def measure() -> dict[str, float | str]:
    """Take turns, and return medians."""
    device = choose_device("auto")
    if device.type == "cpu":
        keep_large_allocations()
    own = Step(device, "auto", 0.0)
    flops = training_flops(forward_flops(ViT(CLASSES, SIDE), SIDE), BATCH)
    turns = {
        "own": own.seconds,
        "float32": Step(device, "float32", 0.0).seconds,
        "dropout": Step(device, "auto", 0.1).seconds,
        "dropout_float32": Step(device, "float32", 0.1).seconds,
        "matmul": matmul_seconds(device),
    }
    times: dict[str, list[float]] = {name: [] for name in [*turns, "augment"]}
    for round_ in range(ROUNDS + 1):
        for name, seconds in turns.items():
            taken = seconds(STEPS[name])
            if round_:  # the first round warms up
                times[name].append(taken)
            if round_ and name == "own":
                times["augment"].append(own.augmenting)
        log.info("round %d of %d", round_, ROUNDS)
    middle = {name: median(values) for name, values in times.items()}
    return {
        "images_per_second": BATCH / middle["own"],
        "vit_step_over_float32": middle["float32"] / middle["own"],
        "vit_over_matmul_ceiling": (flops / middle["own"]) / (PRODUCT_FLOPS / middle["matmul"]),
        "dropout_step_over_float32": middle["dropout_float32"] / middle["dropout"],
        "step_outside_model": middle["augment"] / middle["own"],
        "matmul_tflops": PRODUCT_FLOPS / middle["matmul"] / 1e12,
    }
