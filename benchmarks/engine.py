"""How fast is a SimCLR step, compared with other implementations and with the hardware's limit?

All are measured in turns in one run, so that other work on the machine slows them down alike. Each trains a
ResNet18 for 32x32 images on batches of 128 images with two views; loading and augmentation count.

- `images_per_second`: the step that a training takes, with automatic precision, Adam, head 512-512-128.
- `step_over_float32`: over the same step in float32, NCHW, by PyTorch's own layers.
- `step_over_report`: over float32, NCHW, torchvision's transforms on PIL images in 2 loader workers.
- `step_over_lightly_default`, `step_over_lightly_bf16`: over lightly's SimCLR in a plain loop with 2 loader
  workers, as in its examples and with bfloat16 autocast.
- `step_over_matmul_ceiling`: the step's FLOP/s over a 4096 x 4096 x 4096 product's, in bfloat16, or in
  float32 on hardware without bfloat16 units. FLOPs are those of plain convolutions. Minimal filtering
  (`triptych.kernels.conv.winograd_bf16`, `winograd_fp32`) needs fewer, so the ratio may exceed 1.
- `step_outside_model`: share of the step that is not forward, backward or optimizer.
- `checkpoint_share`: share of a run's time that saving a checkpoint every five minutes takes, if it is killed
  and resumed after each of them.

The scripts of the others are in benchmarks/peers. lightly runs in its own environment, made here from
benchmarks/peers/lightly.txt. If one cannot be installed or run, or the hardware only emulates its number
format, its metric has the reason instead of a number.
"""

import logging
import sys
import tempfile
import time
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks._matmul import PRODUCT_FLOPS, matmul_seconds
from benchmarks._peers import environment
from benchmarks._recipes import simclr_recipe
from benchmarks._simclr_peers import Peer
from triptych.data.packed import PackedDataset
from triptych.kernels import registry
from triptych.ssl.simclr import SimCLR
from triptych.training.batches import Batches
from triptych.training.checkpoint import Checkpoints
from triptych.training.memory import keep_large_allocations
from triptych.training.optimizer import make_optimizer
from triptych.training.step import Stopwatch, TrainingStep
from triptych.training.train_state import TrainState
from triptych.training.weight_average import WeightAverage
from triptych.workflow.devices import choose_device, has_fast_bfloat16
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

IMAGES, BATCH, ROUNDS = 50_000, 128, 7
FORWARD_FLOPS = 2 * 556_651_520  # of ResNet18 on one 32x32 image: multiply-adds of convolutions, twice
RECIPE = simclr_recipe(optimizer="adam", learning_rate=0.001, weight_decay=1e-6, epochs=1, batch_size=BATCH)
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
STEPS = {"own": 3, "float32": 1, "matmul": 3, "report": 1, "lightly_default": 1, "lightly_bf16": 2}
CHECKPOINT_EVERY = 300.0  # seconds, the default of compute.checkpoint_minutes
PAUSE = 0.5  # seconds after a peer's turn, in which its loader workers fill their queue


class Engine:
    """The engine's own step on random images: batch, augmentation, model, optimizer, loss."""

    def __init__(self, device: torch.device, precision: str, layout: torch.memory_format) -> None:
        torch.manual_seed(0)
        recipe = RECIPE | {"precision": precision}
        simclr = SimCLR(recipe, random_images(), device)
        model = simclr.model.to(memory_format=layout)
        self.state = TrainState(model, make_optimizer(model, recipe), WeightAverage(model, 0.0))
        self.step = TrainingStep(
            self.state,
            lambda batch: simclr.prepare(batch).contiguous(memory_format=layout),
            simclr.loss,
            Batches(IMAGES, recipe, seed=0, device=device, label="bench"),
            recipe,
        )
        model.train()
        self.number = 0

    def seconds(self, steps: int) -> float:
        """Seconds per step, over `steps` steps; `outside` is set to the share that is not model compute."""
        watch = self.step.stopwatch = Stopwatch(self.step.batches.device, 1)  # times every step 0
        for _ in range(steps):
            with watch.time_step(0):
                self.step(0, self.number % self.step.batches.steps).item()
            self.number += 1
        self.outside = 1 - watch.share
        return watch.seconds / steps


def checkpoint_seconds(state: dict[str, Any]) -> float:
    """Seconds to save and load `state` as a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(folder, "timing")
        start = time.perf_counter()
        checkpoints.save(0, state)
        checkpoints.load()
        return time.perf_counter() - start


def random_images() -> PackedDataset:
    """As many as CIFAR-10 has, of its size and statistics."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    return PackedDataset(
        train_images=images,
        train_labels=np.zeros(IMAGES, np.int64),
        test_images=images[:1],
        test_labels=np.zeros(1, np.int64),
        classes=("none",),
        source={},
        name="random",
        mean=MEAN,
        std=STD,
        digest="",
    )


def start_peers(device: torch.device) -> tuple[dict[str, Peer], dict[str, str]]:
    """Those that run, and for the others why they don't."""
    peers: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    lightly = partial(environment, "lightly", shared=True)
    for name, python, arguments in (
        ("report", lambda: sys.executable, ["run_report.py", str(device)]),
        ("lightly_default", lightly, ["run_lightly.py", str(device), "default"]),
        ("lightly_bf16", lightly, ["run_lightly.py", str(device), "bf16"]),
    ):
        if name == "lightly_bf16" and not has_fast_bfloat16(device):
            missing[name] = "missing: the hardware has no bfloat16 units"
            continue
        try:
            peers[name] = Peer(name, python(), arguments)
        except TriptychError as error:
            missing[name] = f"missing: {error}"
    return peers, missing


def measure() -> dict[str, float | str]:
    """Take turns, and return medians."""
    device = choose_device("auto")
    peers, missing = start_peers(device)  # before this process is given its allocator
    if device.type == "cpu":
        keep_large_allocations()
    tier = registry.tier()
    registry.configure("off")
    float32 = Engine(device, "float32", torch.contiguous_format)
    registry.configure(tier)
    own = Engine(device, "auto", torch.channels_last)
    turns = {
        "own": own.seconds,
        "float32": float32.seconds,
        "matmul": matmul_seconds(device),
    } | {name: peer.seconds for name, peer in peers.items()}
    times: dict[str, list[float]] = {name: [] for name in [*turns, "outside"]}
    try:
        for round_ in range(ROUNDS + 1):
            for name, seconds in turns.items():
                taken = seconds(STEPS[name])
                if name in peers:
                    time.sleep(PAUSE)
                if round_:  # the first round warms up
                    times[name].append(taken)
            if round_:
                times["outside"].append(own.outside)
            log.info("round %d of %d", round_, ROUNDS)
    finally:
        for peer in peers.values():
            peer.close()
    state = own.state.state_dict()
    checkpoints = [checkpoint_seconds(state) for _ in range(ROUNDS)]
    middle = {name: median(values) for name, values in times.items()}
    step = middle["own"]
    flops = 3 * FORWARD_FLOPS * 2 * BATCH
    return {
        "images_per_second": BATCH / step,
        **{f"step_over_{name}": middle[name] / step for name in ("float32", *peers)},
        **{f"step_over_{name}": reason for name, reason in missing.items()},
        "step_over_matmul_ceiling": (flops / step) / (PRODUCT_FLOPS / middle["matmul"]),
        "step_outside_model": middle["outside"],
        "checkpoint_share": median(checkpoints) / CHECKPOINT_EVERY,
        "matmul_tflops": PRODUCT_FLOPS / middle["matmul"] / 1e12,
    }
