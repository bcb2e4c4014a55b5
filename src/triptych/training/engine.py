"""One training loop for all experiments: exact, resumable, without loader workers.

Everything random in a step comes from (seed, epoch, step), and a checkpoint holds everything
else, so a killed and resumed run computes what an uninterrupted one would have: on a CPU with the
same number of threads, bit for bit.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from triptych.run.devices import autocast
from triptych.run.errors import TriptychError
from triptych.run.progress import Progress
from triptych.run.seeds import derive_seed, torch_generator
from triptych.training.allocator import keep_large_allocations
from triptych.training.checkpoint import Checkpoints
from triptych.training.history import History, Row
from triptych.training.optimizer import make_optimizer
from triptych.training.schedule import learning_rate

log = logging.getLogger("triptych")

Inputs = TypeVar("Inputs")
CHECK_EVERY = 20  # steps between two looks at the loss: a look waits for the device


@dataclass(frozen=True)
class Batch:
    """What one step may see.

    Attributes:
        indices: (B,) int64 on the CPU, of the training examples.
        generator: on the training device, for augmentation.
        progress: share of the training's steps done before this one, from 0 to below 1.
    """

    indices: Tensor
    generator: torch.Generator
    progress: float


@dataclass
class _State:
    """Everything that a checkpoint holds besides the model's and the optimizer's state."""

    epoch: int = 0
    step: int = 0  # within the epoch
    loss_sum: float = 0.0
    pending: Tensor | None = None  # losses not yet added to loss_sum
    seconds: float = 0.0  # of the whole run, over all its resumed parts
    epoch_began: float = 0.0  # in seconds of the run
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.inf
    best_weights: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class Fitted:
    """What a finished training reports; the model holds the chosen weights."""

    rows: list[Row]
    best_epoch: int
    seconds: float


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
    select: str | None = None,
) -> Fitted:
    """Train `model` in place.

    Args:
        model: on `device`; parameters with `requires_grad` are trained.
        prepare: the inputs of a step, augmented; called without gradients and in float32.
        loss_of: the scalar loss of such inputs, under the recipe's precision.
        size: number of training examples; each epoch visits them in a new order and drops the
            last incomplete batch.
        recipe: `epochs`, `batch_size`, `precision`, and what `make_optimizer` and `learning_rate` need.
        seed: decides order, augmentation and dropout.
        device: where the model is.
        label: name shown by the progress bar.
        checkpoints: of this run; removed by the caller once its outputs are written.
        events: folder for TensorBoard events.
        history: path of `history.csv`.
        evaluate: called in eval mode after every epoch; its numbers join the row.
        select: column of `evaluate` to minimise; the weights of its best epoch are restored at the
            end. Without it the last epoch's weights stay.

    Raises:
        TriptychError: the batch is larger than the data, or the loss is no longer finite.
    """
    batch_size, epochs = recipe["batch_size"], recipe["epochs"]
    steps = size // batch_size
    if steps == 0:
        raise TriptychError(
            f"{label}: batch_size is {batch_size} but there are only {size} training images; lower batch_size"
        )
    if device.type == "cpu":
        keep_large_allocations()
    optimizer = make_optimizer(model, recipe)
    state = _resume(model, optimizer, checkpoints.load())
    curves = History(events, key="epoch", rows=state.rows)
    began = time.monotonic() - state.seconds
    shown: dict[str, float | str] = {}  # beside the bar, as of the last look at the loss

    def save() -> None:
        state.seconds = time.monotonic() - began
        saved = vars(state) | {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        checkpoints.save(state.epoch * steps + state.step, saved)

    with Progress(epochs * steps, label, start=state.epoch * steps + state.step) as progress:
        while state.epoch < epochs:
            order = torch.randperm(size, generator=torch_generator("cpu", seed, "order", state.epoch))
            pending = torch.zeros((), device=device) if state.pending is None else state.pending.to(device)
            model.train()
            while state.step < steps:
                rate = learning_rate(recipe, state.epoch * steps + state.step, steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                # Dropout knows no generator of its own: it takes the global one.
                torch.manual_seed(derive_seed(seed, "dropout", state.epoch, state.step))
                batch = Batch(
                    order[state.step * batch_size : (state.step + 1) * batch_size],
                    torch_generator(device, seed, "augment", state.epoch, state.step),
                    progress=(state.epoch * steps + state.step) / (epochs * steps),
                )
                with torch.no_grad():
                    inputs = prepare(batch)
                with autocast(device, recipe["precision"]):
                    loss = loss_of(inputs)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                pending += loss.detach()
                state.step += 1
                if state.step % CHECK_EVERY == 0 or state.step == steps:
                    state.loss_sum += _finite(pending.item(), label, state, rate)
                    pending.zero_()
                    shown = {"epoch": f"{state.epoch + 1}/{epochs}", "loss": state.loss_sum / state.step}
                progress.update(1, **shown)
                if checkpoints.due():
                    _finite(pending.item(), label, state, rate)
                    state.pending = pending
                    save()
            row: Row = {"epoch": state.epoch + 1, "train_loss": state.loss_sum / steps}
            if evaluate is not None:
                model.eval()
                row |= evaluate()
            rate = learning_rate(recipe, (state.epoch + 1) * steps - 1, steps)
            now = time.monotonic() - began
            seconds = now - state.epoch_began
            row |= {
                "learning_rate": rate,
                "images_per_second": steps * batch_size / seconds,
                "seconds": seconds,
            }
            if select is not None and row[select] < state.best_value:
                state.best_epoch, state.best_value = state.epoch + 1, row[select]
                state.best_weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            curves.add(row)
            state.rows.append(row)
            state.epoch, state.step, state.loss_sum, state.pending = state.epoch + 1, 0, 0.0, None
            state.epoch_began = now
            if checkpoints.due() or state.epoch == epochs:
                save()
    curves.close(history)
    if state.best_weights is not None:
        model.load_state_dict(state.best_weights)
    model.eval()
    return Fitted(curves.rows, state.best_epoch, state.seconds)


def _resume(model: nn.Module, optimizer: torch.optim.Optimizer, saved: dict[str, Any] | None) -> _State:
    if saved is None:
        return _State()
    model.load_state_dict(saved.pop("model"))
    optimizer.load_state_dict(saved.pop("optimizer"))
    return _State(**saved)


def _finite(loss: float, label: str, state: _State, rate: float) -> float:
    if math.isfinite(loss):
        return loss
    raise TriptychError(
        f"{label}: the loss is {loss} in epoch {state.epoch + 1}, step {state.step}, "
        f"at learning rate {rate:g}; lower learning_rate or lengthen warmup_epochs"
    )
