"""The training loop of all experiments: bit-reproducible, resumable, without loader workers.

Random draws depend only on (seed, epoch, step); all other state is in the checkpoint. A killed and resumed
run therefore computes the same result as an uninterrupted one: on a CPU with the same number of threads,
bit for bit.

`fit` combines, each from the module of its name:

- `Batches`: the examples and the random generator of each step;
- `TrainingStep`: forward, backward and update, and a `Stopwatch` (module `step`);
- `TrainState`: model, optimizer, weight average and position, which a checkpoint stores;
- `Checkpoints`: the files of these states (module `checkpoint`);
- `History`: the curves, in `history.csv` and for TensorBoard;
- `Progress`: the progress bar and the ETA.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor, nn

from triptych.training.batches import Batch, Batches
from triptych.training.checkpoint import Checkpoints, restoring
from triptych.training.compilation import (
    compile_in_place,
    leave_uncompiled,
    uncompiled,
    with_uncompiled_fallback,
)
from triptych.training.distributed import broadcast_object, rank
from triptych.training.history import History, Row
from triptych.training.memory import keep_large_allocations, out_of_memory_advice
from triptych.training.optimizer import make_optimizer
from triptych.training.schedule import learning_rate
from triptych.training.step import Inputs, TrainingStep
from triptych.training.train_state import TrainState
from triptych.training.weight_average import WeightAverage
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress, format_seconds

__all__ = ["Batch", "Fitted", "Inputs", "fit"]

log = logging.getLogger("triptych")

READ_LOSS_EVERY = 20  # steps: every reading waits for the device


@dataclass(frozen=True)
class Fitted:
    """The numbers of a finished training; the model holds the selected weights."""

    rows: list[Row]  # the history, one row per epoch
    best_epoch: int  # the selected epoch, from 1; 0 without selection
    seconds: float  # wall time of the whole run, over all its resumed parts
    model_share: float  # of the steps' time, in forward, backward, exchange between workers, and optimizer
    images: int  # number of images that went through forward and backward, over all epochs
    images_per_second: float  # training speed, without evaluations


def fit(
    model: nn.Module,
    prepare: Callable[[Batch], Inputs],
    loss_of: Callable[[nn.Module, Inputs], Tensor],
    *,
    num_examples: int,
    recipe: Mapping[str, Any],
    seed: int,
    device: torch.device,
    label: str,
    folder: Path,
    checkpoints: Checkpoints,
    evaluate: Callable[[], Row] | None = None,
    evaluate_every: int = 1,
    select: str | None = None,
    check_loss: Callable[[Row], None] | None = None,
    cost: Callable[[float], float] | None = None,
) -> Fitted:
    """Train `model` in place.

    Within `run_workers` each worker calls this with the same arguments and gets its shard of every batch;
    worker 0 evaluates and writes files.

    Args:
        prepare: returns the augmented inputs of a batch or micro-batch; called without gradients and in
            float32.
        loss_of: returns the scalar loss of the model on such inputs, under the recipe's precision. It must
            call the module that it is given, which may wrap `model`.
        recipe: `epochs`, `batch_size`, `accumulate`, `clip_norm`, `ema`, `compile`, `precision`, and what
            `make_optimizer` and `learning_rate` need.
        folder: receives the TensorBoard events and `history.csv`: for every epoch `train_loss`, the columns
            of `evaluate`, `learning_rate` (of the last step), `images_per_second` (without evaluation),
            `seconds` (with evaluation) and `model_share` (see `Fitted`).
        checkpoints: the caller removes them once its outputs are written.
        evaluate: called in eval mode after every `evaluate_every`-th epoch and the last one, with the
            averaged weights if there are some; its numbers are added to the epoch's row.
        select: column of `evaluate` to minimise; the weights of its best epoch are restored at the end.
            Without it the last epoch's weights stay (with `ema`, their average).
        check_loss: called with `epoch` and `train_loss` (the mean) of every epoch, before the evaluation.
        cost: cost(p) is the relative time of the first fraction p of the training, for the ETA; None: p.

    Raises:
        TriptychError: the batch is larger than the data or than the memory, or the loss is not finite.
    """
    batches = Batches(num_examples, recipe, seed=seed, device=device, label=label)
    if device.type == "cpu":
        keep_large_allocations()
    state = TrainState(model, make_optimizer(model, recipe), WeightAverage(model, recipe["ema"]))
    training_step = TrainingStep(state, prepare, loss_of, batches, recipe)
    if (saved := broadcast_object(checkpoints.load() if rank() == 0 else None)) is not None:
        with restoring(checkpoints):
            state.load_state_dict(saved)
    runner = _EpochRunner(state, training_step, checkpoints, recipe)
    curves = History(folder / "tensorboard", key="epoch", rows=state.rows) if rank() == 0 else None
    epochs, images = batches.epochs, batches.steps * batches.batch_size
    total = epochs * batches.steps
    with Progress(
        total,
        label,
        start=runner.steps_done,
        images=batches.batch_size,
        cost=None if cost is None else lambda steps: cost(steps / total),
    ) as progress:
        while state.epoch < epochs:
            runner.finish_epoch(progress)
            training_seconds = runner.seconds - state.epoch_start
            row: Row = {"epoch": state.epoch + 1, "train_loss": state.loss_sum / batches.steps}
            if check_loss is not None:
                check_loss(row)
            last = state.epoch + 1 == epochs
            if evaluate is not None and (last or (state.epoch + 1) % evaluate_every == 0):
                with state.average.applied(), uncompiled(model):
                    model.eval()
                    row |= broadcast_object(evaluate() if rank() == 0 else {})
            now = runner.seconds
            row |= {
                "learning_rate": runner.learning_rate(runner.steps_done - 1),
                "images_per_second": images / training_seconds,
                "seconds": now - state.epoch_start,
                "model_share": training_step.stopwatch.share,
            }
            if select is not None and row[select] < state.best_value:
                state.best_epoch, state.best_value = state.epoch + 1, row[select]
                state.best_weights = state.weights()
            state.rows.append(row)
            if curves is not None:
                curves.add(row)
            state.epoch, state.step, state.loss_sum, state.epoch_start = state.epoch + 1, 0, 0.0, now
            training_step.stopwatch.reset()
            runner.save_if_due(now=last)
    if curves is not None:
        curves.close(folder / "history.csv")
    model.load_state_dict(state.best_weights or state.weights())
    model.eval()
    leave_uncompiled(model)
    return _summary(state, images, label)


class _EpochRunner(Generic[Inputs]):
    """Runs the remaining steps of an epoch, with checkpoints in between; see `fit`."""

    def __init__(
        self,
        state: TrainState,
        training_step: TrainingStep[Inputs],
        checkpoints: Checkpoints,
        recipe: Mapping[str, Any],
    ) -> None:
        self.state, self.training_step, self.checkpoints = state, training_step, checkpoints
        self.recipe, self.batches = recipe, training_step.batches
        self._start = time.monotonic() - state.seconds
        self._losses: list[Tensor] = []  # the latest steps' losses, not yet read from the device
        if recipe["compile"]:
            compile_in_place(state.model)
        training_step.stopwatch.reset(state.timed_seconds, state.model_seconds)

    @property
    def seconds(self) -> float:
        """Wall time of the whole run so far, over all its resumed parts."""
        return time.monotonic() - self._start

    @property
    def steps_done(self) -> int:
        """Optimizer steps so far."""
        return self.state.epoch * self.batches.steps + self.state.step

    def learning_rate(self, step: int) -> float:
        """Learning rate of an optimizer step, counted over the whole training."""
        return learning_rate(self.recipe, step, self.batches.steps)

    def finish_epoch(self, progress: Progress) -> None:
        """Run the remaining steps; a `TriptychError` if the loss is not finite or a batch too large."""
        state, steps = self.state, self.batches.steps
        shown: dict[str, float | str] = {}  # next to the progress bar
        state.model.train()
        while state.step < steps:
            with self.training_step.stopwatch.time_step(state.step):
                self._losses.append(self._take_step())
                state.step += 1
                if state.step % READ_LOSS_EVERY == 0 or state.step == steps:
                    self._read_losses()
                    epoch = f"{state.epoch + 1}/{self.batches.epochs}"
                    shown = {"epoch": epoch, "loss": state.loss_sum / state.step}
                progress.update(1, **shown)
                self.save_if_due()

    def save_if_due(self, *, now: bool = False) -> None:
        """Worker 0 writes a checkpoint if it is time for one, or `now`."""
        if rank() > 0 or not (now or self.checkpoints.due()):
            return
        self._read_losses()
        if not self.state.is_finite():
            raise self._diverged("a weight is not finite", self.steps_done)
        stopwatch, state = self.training_step.stopwatch, self.state
        state.seconds = self.seconds
        state.timed_seconds, state.model_seconds = stopwatch.seconds_so_far, stopwatch.model_seconds
        self.checkpoints.save(self.steps_done, state.state_dict())

    def _take_step(self) -> Tensor:
        state, batches = self.state, self.batches
        state.set_learning_rate(self.learning_rate(self.steps_done))
        with out_of_memory_advice(
            lambda images: self.training_step.try_size(state.epoch, state.step, images),
            label=batches.label,
            device=batches.device,
            batch_size=batches.batch_size,
            accumulate=batches.accumulate,
        ):
            return with_uncompiled_fallback(state.model, lambda: self.training_step(state.epoch, state.step))

    def _read_losses(self) -> None:
        """Add the latest losses one by one, so the sum does not depend on how often they are read."""
        values = torch.stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        for number, loss in enumerate(values, self.steps_done - len(values) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", number)
            self.state.loss_sum += loss

    def _diverged(self, what: str, count: int) -> TriptychError:
        """The error for divergence at optimizer step `count`, from 1 over the whole training."""
        epoch, step = divmod(count - 1, self.batches.steps)
        newest = self.checkpoints.newest()
        return TriptychError(
            f"{self.batches.label}: {what} in epoch {epoch + 1}, step {step + 1}, at learning rate "
            f"{self.learning_rate(count - 1):g}; last good checkpoint: {newest or 'none yet'}; "
            "lower learning_rate, lengthen warmup_epochs or set clip_norm; any of these restarts the "
            "training from the beginning"
        )


def _summary(state: TrainState, images: int, label: str) -> Fitted:
    """Log the overall speed and return the result; `images` is the number of images per epoch."""
    seconds = sum(images / row["images_per_second"] for row in state.rows)
    share = sum(row["model_share"] * images / row["images_per_second"] for row in state.rows) / seconds
    speed = images * len(state.rows) / seconds
    log.info(
        "%s: finished after %s; %.4g images/s in training, %.1f %% of that time is model compute",
        label,
        format_seconds(state.seconds),
        speed,
        100 * share,
    )
    return Fitted(state.rows, state.best_epoch, state.seconds, share, images * len(state.rows), speed)
