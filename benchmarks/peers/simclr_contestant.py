"""What the drivers of other ways to train SimCLR share: pictures, an encoder, and steps on request.

A driver runs as a script in the environment of what it drives. It prints `ready`, and for each
number that it reads, a line, it trains so many steps, with their loading, and prints their seconds.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18

PICTURES, BATCH, WORKERS = 50_000, 128, 2


class Pictures(Dataset):
    """CIFAR-10 in all but content, which changes no speed; `transform` is the caller's to set."""

    def __init__(self) -> None:
        self.data = np.random.default_rng(0).integers(0, 256, (PICTURES, 32, 32, 3), dtype=np.uint8)
        self.transform: Callable[[Image.Image], Any] | None = None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = Image.fromarray(self.data[index])
        return (self.transform(picture) if self.transform else picture), 0


def cifar_resnet18() -> nn.Module:
    """The ResNet18 of torchvision without its classifier, with the stem for small images."""
    encoder = resnet18()
    encoder.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    encoder.maxpool, encoder.fc = nn.Identity(), nn.Identity()
    return encoder


def serve(dataset: Dataset, learn: Callable[[Any], None]) -> None:
    """Answer requests for steps; `learn` takes a batch as the loader makes it."""
    loader = DataLoader(dataset, BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)
    batches = iter(loader)  # 390 of them: more than are asked for
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            learn(next(batches))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        print(time.perf_counter() - began, flush=True)
