"""One optimizer step, and how much of its time is model compute."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from triptych.kernels.registry import accelerate
from triptych.training.batches import Batch, Batches
from triptych.training.distributed import average, data_parallel
from triptych.training.train_state import TrainState
from triptych.workflow.devices import autocast

Inputs = TypeVar("Inputs")

TIME_EVERY, TIME_FIRST = 50, 10  # steps timed on a GPU: waiting for it costs speed; its first steps are slow


class Stopwatch:
    """The time of training steps, and the time of forward, backward and optimizer within them.

    On the CPU every step is timed. A GPU computes asynchronously, so a timed step waits for it several times:
    only every 50th step, and at least one of an epoch, is timed.
    """

    def __init__(self, device: torch.device, steps: int) -> None:
        self.reset()
        self._waits = device.type != "cpu"
        self._first = min(TIME_FIRST, steps - 1)
        self._running = False
        self._step_start = 0.0

    def reset(self, seconds: float = 0.0, model_seconds: float = 0.0) -> None:
        """Start from zero, or from the times of an earlier part of the epoch."""
        self.seconds, self.model_seconds = seconds, model_seconds

    @property
    def seconds_so_far(self) -> float:
        """`seconds` with the running step up to now, for a checkpoint within a step."""
        return self.seconds + (self._now() - self._step_start if self._running else 0.0)

    @property
    def share(self) -> float:
        """Fraction of the timed steps' time that is model compute; NaN before the first one."""
        return self.model_seconds / self.seconds if self.seconds else float("nan")

    def _now(self) -> float:
        if self._waits:
            torch.accelerator.synchronize()
        return time.perf_counter()

    @contextmanager
    def time_step(self, number: int) -> Iterator[None]:
        """Time the body as a whole step; `number` counts the steps of the epoch from 0."""
        self._running = not self._waits or number % TIME_EVERY == self._first
        if not self._running:
            yield
            return
        self._step_start = self._now()
        yield
        self.seconds, self._running = self.seconds_so_far, False

    @contextmanager
    def time_compute(self) -> Iterator[None]:
        """Time the body as model compute, within a step."""
        if not self._running:
            yield
            return
        start = self._now()
        yield
        self.model_seconds += self._now() - start


class TrainingStep(Generic[Inputs]):
    """The optimizer step of a training: micro-batches forward and backward, then one update.

    The model is data-parallel if there are several workers. `prepare`, `loss_of` and the recipe's `precision`
    and `clip_norm` (largest norm of the gradient over all parameters, or None) are those of `fit`.
    """

    def __init__(
        self,
        state: TrainState,
        prepare: Callable[[Batch], Inputs],
        loss_of: Callable[[nn.Module, Inputs], Tensor],
        batches: Batches,
        recipe: Mapping[str, Any],
    ) -> None:
        self.state, self.prepare, self.loss_of, self.batches = state, prepare, loss_of, batches
        self.precision, self.clip_norm = recipe["precision"], recipe["clip_norm"]
        self.model = data_parallel(accelerate(state.model))
        self.stopwatch = Stopwatch(batches.device, batches.steps)

    def __call__(self, epoch: int, step: int) -> Tensor:
        """Run one step and return the loss of the batch, () on the device, without gradient.

        Gradients and losses of the micro-batches are averaged by their fractions of the batch, then over
        workers. A contrastive loss therefore compares within a micro-batch only.
        """
        state, losses = self.state, []
        state.optimizer.zero_grad(set_to_none=True)
        for number, (batch, fraction) in enumerate(self.batches.micro_batches(epoch, step), 1):
            losses.append(self.backward(batch, fraction, last=number == self.batches.accumulate))
        with self.stopwatch.time_compute():
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(state.model.parameters(), self.clip_norm)
            state.optimizer.step()
            state.average.update(epoch * self.batches.steps + step)
        return average(torch.stack(losses).sum())

    def backward(self, batch: Batch, fraction: float = 1.0, *, last: bool = True) -> Tensor:
        """Add the gradient of `fraction` times the loss of one micro-batch; return that product, detached.

        Workers exchange their gradients in the `last` backward pass of a step.
        """
        with torch.no_grad():
            inputs = self.prepare(batch)
        parallel = self.model if isinstance(self.model, DistributedDataParallel) else None
        with self.stopwatch.time_compute(), nullcontext() if last or parallel is None else parallel.no_sync():
            with autocast(self.batches.device, self.precision):
                loss = self.loss_of(self.model, inputs) * fraction
            loss.backward()
        return loss.detach()

    def try_size(self, epoch: int, step: int, size: int) -> None:
        """Run forward and backward on `size` examples of a micro-batch, with room for the optimizer.

        Twice, because later micro-batches of a step run while the gradients of the first one are in memory.
        The model is not usable afterwards. For one worker only. Raises the allocator's error if they do not
        fit.
        """
        batch, _ = next(self.batches.micro_batches(epoch, step))
        trained = [p for p in self.state.model.parameters() if p.requires_grad]
        # Room for what the optimizer allocates at its first step: at most two values per weight.
        optimizer = self.state.optimizer
        reserved = [] if optimizer.state else [torch.empty_like(p) for p in trained for _ in range(2)]
        try:
            for _ in range(2):
                self.backward(Batch(batch.indices[:size], batch.generator, batch.progress))
        finally:
            optimizer.zero_grad(set_to_none=True)
            reserved.clear()
