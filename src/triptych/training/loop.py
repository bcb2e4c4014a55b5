"""The steps of an epoch: losses are looked at, checkpoints made, failures explained."""

import math
import time
from collections.abc import Mapping
from typing import Any, Generic

import torch
from torch import Tensor

from triptych.training.batch import Batches
from triptych.training.checkpoint import Checkpoints
from triptych.training.compilation import compile_in_place, guarded
from triptych.training.distributed import rank
from triptych.training.out_of_memory import explained
from triptych.training.schedule import learning_rate
from triptych.training.state import Learner, State
from triptych.training.step import Inputs, Step
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

CHECK_EVERY = 20  # steps between two looks at the loss: a look waits for the device


class Loop(Generic[Inputs]):
    """A training from where it stands.

    Args:
        learner: what learns.
        state: where the training stands; kept up to date.
        step: what is done with a batch.
        batches: the batch of each step.
        checkpoints: of the run.
        recipe: see `fit`.
        label: named in errors.
    """

    def __init__(
        self,
        learner: Learner,
        state: State,
        step: Step[Inputs],
        batches: Batches,
        *,
        checkpoints: Checkpoints,
        recipe: Mapping[str, Any],
        label: str,
    ) -> None:
        self.learner, self.state, self.step, self.batches = learner, state, step, batches
        self.checkpoints, self.recipe, self.label = checkpoints, recipe, label
        self._began = time.monotonic() - state.seconds
        self._losses: list[Tensor] = []  # of the latest steps, not looked at yet
        if recipe["compile"]:
            compile_in_place(learner.model)
        step.watch.total, step.watch.model = state.timed_seconds, state.model_seconds

    @property
    def seconds(self) -> float:
        """Of the whole run, over all its resumed parts."""
        return time.monotonic() - self._began

    def rate(self, number: int) -> float:
        """Learning rate of optimizer step `number`, counted over the whole training."""
        return learning_rate(self.recipe, number, self.batches.steps)

    @property
    def done(self) -> int:
        """Optimizer steps so far."""
        return self.state.epoch * self.batches.steps + self.state.step

    def finish_epoch(self, progress: Progress) -> None:
        """Take the steps that are left of the epoch.

        Raises:
            TriptychError: the loss is no longer finite, or a batch does not fit in memory.
        """
        state, steps = self.state, self.batches.steps
        shown: dict[str, float | str] = {}  # beside the bar, as of the last look
        self.learner.model.train()
        while state.step < steps:
            with self.step.watch.step(state.step):
                self._losses.append(self._take_step())
                state.step += 1
                if state.step % CHECK_EVERY == 0 or state.step == steps:
                    self._look()
                    epoch = f"{state.epoch + 1}/{self.recipe['epochs']}"
                    shown = {"epoch": epoch, "loss": state.loss_sum / state.step}
                progress.update(1, **shown)
                self.save_if_due()

    def save_if_due(self, *, now: bool = False) -> None:
        """Write a checkpoint if it is time for one, or in any case; worker 0 does."""
        if rank() > 0 or not (now or self.checkpoints.due()):
            return
        self._look()
        if not self.learner.is_finite():
            raise self._diverged("a weight is not finite", self.done)
        watch, state = self.step.watch, self.state
        state.seconds = self.seconds
        state.timed_seconds, state.model_seconds = watch.total_so_far, watch.model
        self.checkpoints.save(self.done, self.learner.pack(state))

    def _take_step(self) -> Tensor:
        number = self.done
        self.learner.set_rate(self.rate(number))

        def attempt() -> Tensor:
            return self.step(self.batches.pieces(self.state.epoch, self.state.step), number)

        def try_size(size: int) -> None:
            piece, _ = next(self.batches.pieces(self.state.epoch, self.state.step))
            self.step.try_size(piece, size)

        with explained(
            try_size,
            label=self.label,
            device=self.batches.device,
            batch_size=self.batches.batch_size,
            accumulate=self.batches.accumulate,
        ):
            return guarded(self.learner.model, attempt)

    def _look(self) -> None:
        """Bring in the losses since the last look, one by one: when that was changes no bit of their sum."""
        values = torch.stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        for number, loss in enumerate(values, self.done - len(values) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", number)
            self.state.loss_sum += loss

    def _diverged(self, what: str, count: int) -> TriptychError:
        """The error that step `count` of the training, counted from 1, ends with."""
        epoch, step = divmod(count - 1, self.batches.steps)
        newest = self.checkpoints.newest()
        return TriptychError(
            f"{self.label}: {what} in epoch {epoch + 1}, step {step + 1}, at learning rate "
            f"{self.rate(count - 1):g}; last good checkpoint: {newest or 'none yet'}; "
            "lower learning_rate, lengthen warmup_epochs or set clip_norm, with which it starts anew"
        )
