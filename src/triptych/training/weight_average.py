"""Exponential moving average (EMA) of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's weights (Polyak & Juditsky 1992), updated at each step.

    Trained parameters and floating-point buffers are averaged, among them the running statistics of batch
    norms: the latest ones would describe the activations of the latest weights. The average is swapped into
    the model in place, which `torch.optim.swa_utils.AveragedModel`, a copy of the model, does not offer. A
    decay of 0 keeps no average, and no method has an effect.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad] if decay else []
        buffers = [(n, b) for n, b in model.named_buffers() if b.is_floating_point()] if decay else []
        self._names = [name for name, _ in trained + buffers]
        self._current: list[Tensor] = [value for _, value in trained + buffers]
        self._average = [value.detach().clone() for value in self._current]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after optimizer step `step`, counted from 0 over the whole training.

        The decay grows as (1 + step) / (10 + step) up to its value, so that the initial weights are soon
        forgotten.
        """
        if self._average:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._average, self._current, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the model has the average weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        if self._average:
            kept = [value.clone() for value in self._current]
            torch._foreach_copy_(self._current, self._average)
            torch._foreach_copy_(self._average, kept)

    def state_dict(self) -> dict[str, Tensor]:
        """The average by name."""
        return dict(zip(self._names, self._average, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` returned."""
        for name, value in zip(self._names, self._average, strict=True):
            value.copy_(state[name])
