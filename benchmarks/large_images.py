"""How much memory does a training on 100,000 images of 224 pixels take?

The packed images, 256 pixels a side as for random crops, take 19.7 GB. The file is sparse here: it takes no
space on the disk, and reading it does not load the disk. ResNet18 or SimCLR is trained for some steps on the
CPU. Reported are the peak of anonymous memory, which the machine must have; the pages of files in memory,
which the system drops when memory is short; and the time to gather a batch.

python -m benchmarks.large_images [--part simclr] [--batch 128] [--steps 3]
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks._recipes import simclr_recipe
from triptych.augment.geometry import random_geometry
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset
from triptych.kernels.registry import accelerate
from triptych.models import resnet
from triptych.ssl.simclr import SimCLR
from triptych.training.batches import Batch
from triptych.workflow.devices import autocast

COUNT, SIDE, PACKED = 100_000, 224, 256
CPU = torch.device("cpu")


class Memory(threading.Thread):
    """The largest anonymous and file-backed memory of this process, in GB, looked at 20 times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = {"RssAnon": 0.0, "RssFile": 0.0}
        self.start()

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name = line.split(":")[0]
                if name in self.peak:
                    self.peak[name] = max(self.peak[name], int(line.split()[1]) * 1024 / 1e9)
            time.sleep(0.05)

    def __str__(self) -> str:
        return f"{self.peak['RssAnon']:.1f} GB anonymous, {self.peak['RssFile']:.1f} GB of files"


def sparse_dataset(folder: Path) -> PackedDataset:
    """100,000 black images of 100 classes."""
    images = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=(COUNT, PACKED, PACKED, 3)
    )
    del images
    mapped = np.load(folder / "images.npy", mmap_mode="c")
    labels = np.arange(COUNT) % 100
    return PackedDataset(
        name="sparse",
        source={},
        classes=tuple(map(str, range(100))),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        digest="0",
        train_images=mapped,
        train_labels=labels,
        test_images=mapped[:100],
        test_labels=labels[:100],
        side=SIDE,
    )


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--part", choices=["supervised", "simclr"], default="supervised")
    options = parser.parse_args()
    memory, generator = Memory(), torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        dataset = sparse_dataset(Path(folder))
        images = DeviceImages(
            dataset.train_images,
            dataset.train_labels,
            mean=dataset.mean,
            std=dataset.std,
            device=CPU,
            side=SIDE,
        )
        print(
            f"{len(images):,} images of {PACKED} pixels, {dataset.train_images.nbytes / 1e9:.1f} GB: {memory}"
        )
        simclr = SimCLR(simclr_recipe(), dataset, CPU)
        classifier = resnet.build(100, SIDE).to(memory_format=torch.channels_last)
        model = accelerate(classifier if options.part == "supervised" else simclr.model).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        for _ in range(options.steps):
            indices = torch.randint(COUNT, (options.batch,), generator=generator)
            start = time.perf_counter()
            images.uint8(indices)
            gathered = time.perf_counter()
            if options.part == "supervised":
                pixels = random_geometry(
                    images.pixels(indices),
                    padding=4,
                    flip=0.5,
                    degrees=15,
                    size=SIDE,
                    generator=generator,
                )
                with autocast(CPU, "auto"):
                    loss = torch.nn.functional.cross_entropy(
                        model(images.normalise(pixels)).float(), images.labels[indices]
                    )
            else:
                with autocast(CPU, "auto"):
                    loss = simclr.loss(model, simclr.prepare(Batch(indices, generator, 0.0)))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            print(
                f"{options.part}, batch {options.batch}: {gathered - start:.3f} s to gather, "
                f"{time.perf_counter() - gathered:.1f} s in all; {memory}",
                flush=True,
            )


if __name__ == "__main__":
    main()
