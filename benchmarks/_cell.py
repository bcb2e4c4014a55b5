"""Images a second of a training step: `python -m benchmarks._cell resnet18 1 20` (threads, seconds)."""

import sys
import time

import torch
import torch.nn.functional as F

from triptych.config.training import Training
from triptych.kernels.registry import accelerate
from triptych.models.resnet import build as resnet18
from triptych.models.vit import ViT
from triptych.training.memory import keep_large_allocations
from triptych.training.optimizer import make_optimizer
from triptych.workflow.devices import autocast

CLASSES, SIDE, BATCH, WARM_UP = 100, 32, 128, 2
RECIPES = {
    "resnet18": Training(nesterov=True),
    "vit": Training(optimizer="adamw", learning_rate=0.001, weight_decay=0.05, decay_biases=False),
}


def images_per_second(name: str, threads: int, seconds: float) -> float:
    """Train on random images for so long, after a warm-up; data and augmentation do not count."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    keep_large_allocations()
    model = resnet18(CLASSES, SIDE) if name == "resnet18" else ViT(CLASSES, SIDE, stochastic_depth=0.1)
    model = accelerate(model.to(memory_format=torch.channels_last))
    optimizer = make_optimizer(model, RECIPES[name].model_dump())
    images = torch.rand(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    steps, began = -WARM_UP, time.perf_counter()
    while steps <= 0 or time.perf_counter() - began < seconds:
        if steps == 0:
            began = time.perf_counter()
        with autocast(torch.device("cpu"), "auto"):
            loss = F.cross_entropy(model(images).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps += 1
    return BATCH * steps / (time.perf_counter() - began)


if __name__ == "__main__":
    print(images_per_second(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
