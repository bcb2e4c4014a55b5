"""How much of a training is model compute, and how much is everything around it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

EVERY, FIRST = 50, 10  # of a GPU's steps: to wait for it costs speed, and its first steps are slow


class Stopwatch:
    """Seconds of steps, and the seconds of forward, backward and optimizer among them.

    On the CPU every step is timed. A GPU runs ahead of the program, so that only a step with waits
    around its parts can be timed: every 50th is.

    Args:
        device: where the model is.
        steps: number of steps in an epoch, of which at least one is timed.
    """

    def __init__(self, device: torch.device, steps: int) -> None:
        self.total = self.model = 0.0
        self._waits = device.type != "cpu"
        self._first = min(FIRST, steps - 1)
        self._running = False
        self._began = 0.0  # of the step that is running

    @property
    def total_so_far(self) -> float:
        """`total` with what the running step has taken until now: what a checkpoint within it must hold."""
        return self.total + (self._now() - self._began if self._running else 0.0)

    @property
    def share(self) -> float:
        """Share of the timed steps that is model compute; NaN before the first one."""
        return self.model / self.total if self.total else float("nan")

    def _now(self) -> float:
        if self._waits:
            torch.accelerator.synchronize()
        return time.perf_counter()

    @contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Time the body as a whole step, `step` being its number in the epoch."""
        self._running = not self._waits or step % EVERY == self._first
        if not self._running:
            yield
            return
        self._began = self._now()
        yield
        self.total, self._running = self.total_so_far, False

    @contextmanager
    def compute(self) -> Iterator[None]:
        """Time the body as model compute, within a step."""
        if not self._running:
            yield
            return
        began = self._now()
        yield
        self.model += self._now() - began
