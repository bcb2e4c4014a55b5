"""How fast is a SimCLR step against other ways to do it, and against the matrix units?

All are measured alternately in one run, so that other work on the machine hits them alike. Each trains a
ResNet18 for 32x32 images on batches of 128 images, two views each; loading and augmentation count.

- `images_per_second`: the engine's step, with automatic precision, Adam, head 512-512-128.
- `step_over_float32`: over the same step in float32, NCHW.
- `step_over_report`: over float32, NCHW, torchvision's transforms on PIL images in 2 loader workers.
- `step_over_lightly_default`, `step_over_lightly_bf16`: over lightly's SimCLR parts in a plain loop with 2
  loader workers, as its examples run and with bfloat16 autocast added.
- `step_over_matmul_ceiling`: the step's FLOP/s over a 4096 x 4096 x 4096 bfloat16 product's.
- `step_outside_model`: share of the step that is not forward, backward or optimizer.
- `checkpoint_share`: share of a run's time that saving a checkpoint every five minutes takes, if it is killed
  and resumed after each of them.

lightly runs in an environment of its own, made here from benchmarks/peers/lightly.txt. benchmarks/peers/
has what the others run. One that cannot be installed or run has no number, for the reason given.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks._matmul import PRODUCT_FLOPS, matmul_seconds
from benchmarks._simclr_peers import Peer, lightly_python
from triptych.nn.heads import projection_head
from triptych.nn.nt_xent import nt_xent
from triptych.nn.resnet import ResNet18
from triptych.nn.views import draw_views
from triptych.run.devices import autocast, choose_device
from triptych.run.errors import TriptychError
from triptych.run.seeds import torch_generator
from triptych.training.allocator import keep_large_allocations
from triptych.training.checkpoint import time_checkpoint
from triptych.training.optimizer import make_optimizer

log = logging.getLogger("triptych")

IMAGES, BATCH, ROUNDS = 50_000, 128, 7
FORWARD_FLOPS = 2 * 556_651_520  # of ResNet18 on one 32x32 image: multiply-adds of convolutions, twice
VIEWS = {
    "crop_scale": [0.08, 1.0],
    "jitter": [0.4, 0.4, 0.4, 0.1],
    "jitter_probability": 0.8,
    "grayscale_probability": 0.2,
    "blur_probability": 0.5,
}
RECIPE = {
    "optimizer": "adam",
    "learning_rate": 0.001,
    "weight_decay": 0.000001,
    "decay_biases": True,
    "momentum": 0.9,
    "nesterov": False,
}
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
STEPS = {"own": 3, "float32": 1, "matmul": 3, "report": 1, "lightly_default": 1, "lightly_bf16": 2}
CHECKPOINT_EVERY = 300.0  # seconds, the default of compute.checkpoint_minutes
PAUSE = 0.5  # seconds after a peer's turn, in which its loader workers fill their queue


class Step:
    """The engine's step, with its augmentation timed apart."""

    def __init__(self, device: torch.device, precision: str, layout: torch.memory_format) -> None:
        torch.manual_seed(0)
        self.device, self.precision, self.layout = device, precision, layout
        encoder = ResNet18()
        model = nn.Sequential(encoder, projection_head(encoder.features, 512, 128))
        self.model = model.to(memory_format=layout).to(device)
        self.optimizer = make_optimizer(self.model, RECIPE | {"precision": precision})
        images = torch.randint(0, 256, (IMAGES, 32, 32, 3), dtype=torch.uint8)
        self.images = images.permute(0, 3, 1, 2).to(device)
        self.generator = torch_generator(device, 0)
        self.augmenting = 0.0  # seconds of the latest step

    def _views(self) -> Tensor:
        images = self.images[torch.randint(0, IMAGES, (BATCH,)).to(self.device)]
        views = draw_views(images, VIEWS, size=32, mean=MEAN, std=STD, generator=self.generator, count=2)
        return views.contiguous(memory_format=self.layout)

    def _learn(self, views: Tensor) -> None:
        with autocast(self.device, self.precision):
            loss = nt_xent(self.model(views), 0.5)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _seconds(self, function: Callable[[], Tensor | None]) -> tuple[float, Tensor | None]:
        began = time.perf_counter()
        result = function()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began, result

    def seconds(self, steps: int) -> float:
        """Seconds a step, over so many; `augmenting` is set to those of the augmentation."""
        total = self.augmenting = 0.0
        for _ in range(steps):
            augmenting, views = self._seconds(self._views)
            learning, _ = self._seconds(lambda views=views: self._learn(views))
            self.augmenting += augmenting / steps
            total += (augmenting + learning) / steps
        return total


def start_peers(device: torch.device) -> tuple[dict[str, Peer], dict[str, str]]:
    """Those that run, and for the others why they don't."""
    peers: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name, python, arguments in (
        ("report", lambda: sys.executable, ["run_report.py", str(device)]),
        ("lightly_default", lightly_python, ["run_lightly.py", str(device), "default"]),
        ("lightly_bf16", lightly_python, ["run_lightly.py", str(device), "bf16"]),
    ):
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
    own = Step(device, "auto", torch.channels_last)
    turns = {
        "own": own.seconds,
        "float32": Step(device, "float32", torch.contiguous_format).seconds,
        "matmul": matmul_seconds(device),
    } | {name: peer.seconds for name, peer in peers.items()}
    times: dict[str, list[float]] = {name: [] for name in [*turns, "augment"]}
    try:
        for round_ in range(ROUNDS + 1):
            for name, seconds in turns.items():
                taken = seconds(STEPS[name])
                if name in peers:
                    time.sleep(PAUSE)
                if round_:  # the first round warms up
                    times[name].append(taken)
            if round_:
                times["augment"].append(own.augmenting)
            log.info("round %d of %d", round_, ROUNDS)
    finally:
        for peer in peers.values():
            peer.close()
    state = {"model": own.model.state_dict(), "optimizer": own.optimizer.state_dict()}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = [sum(time_checkpoint(state, folder)) for _ in range(ROUNDS)]
    middle = {name: median(values) for name, values in times.items()}
    step = middle["own"]
    flops = 3 * FORWARD_FLOPS * 2 * BATCH
    return {
        "images_per_second": BATCH / step,
        **{f"step_over_{name}": middle[name] / step for name in ("float32", *peers)},
        **{f"step_over_{name}": reason for name, reason in missing.items()},
        "step_over_matmul_ceiling": (flops / step) / (PRODUCT_FLOPS / middle["matmul"]),
        "step_outside_model": middle["augment"] / step,
        "checkpoint_share": median(checkpoints) / CHECKPOINT_EVERY,
        "matmul_tflops": PRODUCT_FLOPS / middle["matmul"] / 1e12,
    }
