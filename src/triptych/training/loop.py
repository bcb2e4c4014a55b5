"""The training loop of all experiments: exact, resumable, without loader workers.

Everything random in a step comes from (seed, epoch, step), and a checkpoint holds everything
else, so a killed and resumed run computes what an uninterrupted one would have: on a CPU with the
same number of threads, bit for bit.
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
from triptych.training.checkpoint import Checkpoints
from triptych.training.compilation import compile_in_place, guarded, leave_uncompiled, uncompiled
from triptych.training.distributed import broadcast_object, rank
from triptych.training.history import History, Row
from triptych.training.memory import keep_large_allocations, out_of_memory_advice
from triptych.training.optimizer import make_optimizer
from triptych.training.schedule import learning_rate
from triptych.training.step import Inputs, Step
from triptych.training.train_state import TrainState
from triptych.training.weight_average import WeightAverage
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress, format_seconds

__all__ = ["Batch", "Fitted", "Inputs", "fit"]

log = logging.getLogger("triptych")

CHECK_EVERY = 20  # steps between two readings of the loss: each waits for the device


@dataclass(frozen=True)
class Fitted:
    """The numbers of a finished training; the model holds the selected weights.

    Attributes:
        rows: of the history.
        best_epoch: the selected one, from 1; 0 without selection.
        seconds: of the whole run, over all its resumed parts.
        model_share: share of the steps' time that was forward, backward and optimizer, with the exchange
            between workers.
        images: that went through forward and backward in all epochs together.
        images_per_second: of the steps.
    """

    rows: list[Row]
    best_epoch: int
    seconds: float
    model_share: float
    images: int
    images_per_second: float


def fit(
    model: nn.Module,
    prepare: Callable[[Batch], Inputs],
    loss_of: Callable[[nn.Module, Inputs], Tensor],
    *,
    size: int,
    recipe: Mapping[str, Any],
    seed: int,
    device: torch.device,
    label: str,
    folder: Path,
    checkpoints: Checkpoints,
    evaluate: Callable[[], Row] | None = None,
    evaluate_every: int = 1,
    select: str | None = None,
    check_loss: Callable[[float], None] | None = None,
    cost: Callable[[int], float] | None = None,
) -> Fitted:
    """Train `model` in place.

    Within `run_workers` each worker calls this with the same arguments and gets its shard of every
    batch; worker 0 evaluates and writes files.

    Args:
        model: on `device`; parameters with `requires_grad` are trained.
        prepare: the inputs of a batch or micro-batch, augmented; called without gradients and in float32.
        loss_of: the scalar loss of the model on such inputs, under the recipe's precision. It must call the
            module that it is given, which may wrap `model`.
        size: number of training examples; each epoch visits them in a new order and drops the
            last incomplete batch.
        recipe: `epochs`, `batch_size`, `accumulate`, `clip_norm`, `ema`, `compile`, `precision`, and what
            `make_optimizer` and `learning_rate` need.
        seed: decides order, augmentation and dropout.
        device: where the model is.
        label: name shown by the progress bar.
        folder: for the TensorBoard events, `tensorboard/`, and for `history.csv`: for every epoch
            `train_loss`, the columns of `evaluate`, `learning_rate` (of the last step), `images_per_second`
            (of the steps), `seconds` (with evaluation) and `model_share` (see `Fitted`).
        checkpoints: of this run; removed by the caller once its outputs are written.
        evaluate: called in eval mode after every `evaluate_every`-th epoch and the last one; its
            numbers join the row. With `ema` it sees the averaged weights.
        evaluate_every: epochs; 1 where `select` is given.
        select: column of `evaluate` to minimise; the weights of its best epoch are restored at the
            end. Without it the last epoch's weights stay (with `ema`, their average).
        check_loss: called with the mean training loss of every epoch, before the evaluation.
        cost: of so many steps, for the ETA; see `Progress`.

    Raises:
        TriptychError: the batch is larger than the data or than the memory, or the loss is no
            longer finite.
    """
    batches = Batches(size, recipe, seed=seed, device=device, label=label)
    if device.type == "cpu":
        keep_large_allocations()
    state = TrainState(model, make_optimizer(model, recipe), WeightAverage(model, recipe["ema"]))
    step = Step(state, prepare, loss_of, batches, recipe)
    if (saved := broadcast_object(checkpoints.load() if rank() == 0 else None)) is not None:
        state.load_state_dict(saved)
    loop = _Loop(state, step, checkpoints, recipe)
    curves = History(folder / "tensorboard", key="epoch", rows=state.rows) if rank() == 0 else None
    epochs, images = batches.epochs, batches.steps * batches.batch_size
    with Progress(
        epochs * batches.steps, label, start=loop.steps_done, images=batches.batch_size, cost=cost
    ) as progress:
        while state.epoch < epochs:
            loop.finish_epoch(progress)
            training_seconds = loop.seconds - state.epoch_start
            row: Row = {"epoch": state.epoch + 1, "train_loss": state.loss_sum / batches.steps}
            if check_loss is not None:
                check_loss(row["train_loss"])
            last = state.epoch + 1 == epochs
            if evaluate is not None and (last or (state.epoch + 1) % evaluate_every == 0):
                with state.average.applied(), uncompiled(model):
                    model.eval()
                    row |= broadcast_object(evaluate() if rank() == 0 else {})
            now = loop.seconds
            row |= {
                "learning_rate": loop.learning_rate(loop.steps_done - 1),
                "images_per_second": images / training_seconds,
                "seconds": now - state.epoch_start,
                "model_share": step.watch.share,
            }
            if select is not None and row[select] < state.best_value:
                state.best_epoch, state.best_value = state.epoch + 1, row[select]
                state.best_weights = state.weights()
            state.rows.append(row)
            if curves is not None:
                curves.add(row)
            state.epoch, state.step, state.loss_sum, state.epoch_start = state.epoch + 1, 0, 0.0, now
            step.watch.total = step.watch.model = 0.0
            loop.save_if_due(now=last)
    if curves is not None:
        curves.close(folder / "history.csv")
    model.load_state_dict(state.best_weights or state.weights())
    model.eval()
    leave_uncompiled(model)
    return _summary(state, images, label)


class _Loop(Generic[Inputs]):
    """The steps of an epoch, from where the training stands; see `fit`."""

    def __init__(
        self, state: TrainState, step: Step[Inputs], checkpoints: Checkpoints, recipe: Mapping[str, Any]
    ) -> None:
        self.state, self.step, self.checkpoints, self.recipe = state, step, checkpoints, recipe
        self.batches = step.batches
        self._start = time.monotonic() - state.seconds
        self._losses: list[Tensor] = []  # of the latest steps, still on the device
        if recipe["compile"]:
            compile_in_place(state.model)
        step.watch.total, step.watch.model = state.timed_seconds, state.model_seconds

    @property
    def seconds(self) -> float:
        """Of the whole run, over all its resumed parts."""
        return time.monotonic() - self._start

    @property
    def steps_done(self) -> int:
        """Optimizer steps so far."""
        return self.state.epoch * self.batches.steps + self.state.step

    def learning_rate(self, step: int) -> float:
        """Learning rate of an optimizer step, counted over the whole training."""
        return learning_rate(self.recipe, step, self.batches.steps)

    def finish_epoch(self, progress: Progress) -> None:
        """Take the remaining steps of the epoch.

        Raises:
            TriptychError: the loss is no longer finite, or a batch does not fit in memory.
        """
        state, steps = self.state, self.batches.steps
        shown: dict[str, float | str] = {}  # beside the bar
        state.model.train()
        while state.step < steps:
            with self.step.watch.step(state.step):
                self._losses.append(self._take_step())
                state.step += 1
                if state.step % CHECK_EVERY == 0 or state.step == steps:
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
        watch, state = self.step.watch, self.state
        state.seconds = self.seconds
        state.timed_seconds, state.model_seconds = watch.total_so_far, watch.model
        self.checkpoints.save(self.steps_done, state.state_dict())

    def _take_step(self) -> Tensor:
        state, batches = self.state, self.batches
        state.set_learning_rate(self.learning_rate(self.steps_done))
        with out_of_memory_advice(
            lambda size: self.step.try_size(state.epoch, state.step, size),
            label=batches.label,
            device=batches.device,
            batch_size=batches.batch_size,
            accumulate=batches.accumulate,
        ):
            return guarded(state.model, lambda: self.step(state.epoch, state.step))

    def _read_losses(self) -> None:
        """Add up the losses since the last reading, one by one: when it was changes no bit of the sum."""
        values = torch.stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        for number, loss in enumerate(values, self.steps_done - len(values) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", number)
            self.state.loss_sum += loss

    def _diverged(self, what: str, count: int) -> TriptychError:
        """The error that step `count` of the training, counted from 1, ends with."""
        epoch, step = divmod(count - 1, self.batches.steps)
        newest = self.checkpoints.newest()
        return TriptychError(
            f"{self.batches.label}: {what} in epoch {epoch + 1}, step {step + 1}, at learning rate "
            f"{self.learning_rate(count - 1):g}; last good checkpoint: {newest or 'none yet'}; "
            "lower learning_rate, lengthen warmup_epochs or set clip_norm, with which it starts anew"
        )


def _summary(state: TrainState, images: int, label: str) -> Fitted:
    """Close with one line on the speed of all epochs; `images` is the number in an epoch."""
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
