"""One training loop for all experiments: exact, resumable, without loader workers.

Everything random in a step comes from (seed, epoch, step), and a checkpoint holds everything
else, so a killed and resumed run computes what an uninterrupted one would have: on a CPU with the
same number of threads, bit for bit.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych.training.allocator import keep_large_allocations
from triptych.training.batch import Batch, Batches
from triptych.training.checkpoint import Checkpoints
from triptych.training.compilation import leave_uncompiled, uncompiled
from triptych.training.distributed import broadcast_object, rank
from triptych.training.history import History, Row
from triptych.training.loop import Loop
from triptych.training.optimizer import make_optimizer
from triptych.training.state import Learner, State
from triptych.training.step import Inputs, Step
from triptych.training.stopwatch import Stopwatch
from triptych.training.weight_average import WeightAverage
from triptych.workflow.progress import Progress, format_seconds

__all__ = ["Batch", "Fitted", "Inputs", "fit"]

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class Fitted:
    """What a finished training reports; the model holds the chosen weights.

    Attributes:
        rows: of the history.
        best_epoch: the selected one, from 1; 0 if none was asked for.
        seconds: of the whole run, over all its resumed parts.
        model_share: share of the steps' time that was forward, backward and optimizer; what several
            workers say to each other is a part of these.
        images: taken through forward and backward in all epochs together.
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
    loss_of: Callable[[Inputs], Tensor],
    *,
    size: int,
    recipe: Mapping[str, Any],
    seed: int,
    device: torch.device,
    label: str,
    checkpoints: Checkpoints,
    events: str | Path,
    history: str | Path,
    evaluate: Callable[[], Row] | None = None,
    evaluate_every: int = 1,
    select: str | None = None,
    look_at_loss: Callable[[float], None] | None = None,
    cost: Callable[[int], float] | None = None,
) -> Fitted:
    """Train `model` in place.

    Within `run_workers` each worker calls this with the same arguments and gets its share of every
    batch; worker 0 evaluates and writes files.

    Args:
        model: on `device`; parameters with `requires_grad` are trained.
        prepare: the inputs of a step (or of one of its `accumulate` pieces), augmented; called without
            gradients and in float32.
        loss_of: the scalar loss of such inputs, under the recipe's precision.
        size: number of training examples; each epoch visits them in a new order and drops the
            last incomplete batch.
        recipe: `epochs`, `batch_size`, `accumulate`, `clip_norm`, `ema`, `compile`, `precision`, and what
            `make_optimizer` and `learning_rate` need.
        seed: decides order, augmentation and dropout.
        device: where the model is.
        label: name shown by the progress bar.
        checkpoints: of this run; removed by the caller once its outputs are written.
        events: folder for TensorBoard events.
        history: path of `history.csv`: for every epoch `train_loss`, the columns of `evaluate`,
            `learning_rate` (of the last step), `images_per_second` (of the steps), `seconds` (with
            evaluation) and `model_share` (see `Fitted`).
        evaluate: called in eval mode after every `evaluate_every`-th epoch and the last one; its
            numbers join the row.
        evaluate_every: epochs; 1 where `select` is given.
        select: column of `evaluate` to minimise; the weights of its best epoch are restored at the
            end. Without it the last epoch's weights stay. With `ema`, averaged weights take the
            place of the trained ones in all of this.
        look_at_loss: called with the mean training loss of every epoch, before the evaluation.
        cost: of so many steps, for the ETA; see `Progress`.

    Raises:
        TriptychError: the batch is larger than the data or than the memory, or the loss is no
            longer finite.
    """
    epochs = recipe["epochs"]
    batches = Batches(
        size=size,
        batch_size=recipe["batch_size"],
        accumulate=recipe["accumulate"],
        epochs=epochs,
        seed=seed,
        device=device,
        label=label,
    )
    if device.type == "cpu":
        keep_large_allocations()
    watch = Stopwatch(device, batches.steps)
    weights = WeightAverage(model, recipe["ema"])
    learner = Learner(model, make_optimizer(model, recipe), weights)
    step = Step(
        learner,
        prepare,
        loss_of,
        clip_norm=recipe["clip_norm"],
        device=device,
        precision=recipe["precision"],
        watch=watch,
    )
    state = learner.unpack(broadcast_object(checkpoints.load() if rank() == 0 else None))
    loop = Loop(learner, state, step, batches, checkpoints=checkpoints, recipe=recipe, label=label)
    curves = History(events, key="epoch", rows=state.rows) if rank() == 0 else None
    images = batches.steps * batches.batch_size
    total, start = epochs * batches.steps, loop.done
    with Progress(total, label, start=start, images=batches.batch_size, cost=cost) as progress:
        while state.epoch < epochs:
            loop.finish_epoch(progress)
            trained = loop.seconds - state.epoch_began
            row: Row = {"epoch": state.epoch + 1, "train_loss": state.loss_sum / batches.steps}
            if look_at_loss is not None:
                look_at_loss(row["train_loss"])
            last = state.epoch + 1 == epochs
            if evaluate is not None and (last or (state.epoch + 1) % evaluate_every == 0):
                with weights.applied(), uncompiled(model):
                    model.eval()
                    row |= broadcast_object(evaluate() if rank() == 0 else {})
            now = loop.seconds
            row |= {
                "learning_rate": loop.rate(loop.done - 1),
                "images_per_second": images / trained,
                "seconds": now - state.epoch_began,
                "model_share": watch.share,
            }
            if select is not None and row[select] < state.best_value:
                state.best_epoch, state.best_value = state.epoch + 1, row[select]
                state.best_weights = learner.copy_of_weights()
            state.rows.append(row)
            if curves is not None:
                curves.add(row)
            state.epoch, state.step, state.loss_sum, state.epoch_began = state.epoch + 1, 0, 0.0, now
            watch.total = watch.model = 0.0
            loop.save_if_due(now=state.epoch == epochs)
    if curves is not None:
        curves.close(history)
    model.load_state_dict(state.best_weights or learner.copy_of_weights())
    model.eval()
    leave_uncompiled(model)
    return _summary(state, images, label)


def _summary(state: State, images: int, label: str) -> Fitted:
    """Close with one line on the speed of all epochs."""
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
