"""One optimizer step: pieces of a batch forwards and backwards, then the weights move once."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from triptych.training.batch import Batch
from triptych.training.distributed import average, average_gradients
from triptych.training.state import Learner
from triptych.training.stopwatch import Stopwatch
from triptych.training.sync_batch_norm import unsynchronise_batch_norm
from triptych.workflow.devices import autocast

Inputs = TypeVar("Inputs")


class Step(Generic[Inputs]):
    """What a training does with a batch.

    Args:
        learner: whose model is in train mode.
        prepare: the inputs of a forward pass, augmented; called without gradients and in float32.
        loss_of: the scalar loss of such inputs.
        clip_norm: greatest norm of the gradient over all parameters, or None.
        device, precision: for autocast around `loss_of`.
        watch: takes the time.
    """

    def __init__(
        self,
        learner: Learner,
        prepare: Callable[[Batch], Inputs],
        loss_of: Callable[[Inputs], Tensor],
        *,
        clip_norm: float | None,
        device: torch.device,
        precision: str,
        watch: Stopwatch,
    ) -> None:
        self.learner, self.prepare, self.loss_of = learner, prepare, loss_of
        self.clip_norm, self.device, self.precision, self.watch = clip_norm, device, precision, watch

    def __call__(self, pieces: Iterable[tuple[Batch, float]], number: int) -> Tensor:
        """Take optimizer step `number`, counted over the whole training.

        Gradients and losses of the pieces are averaged by their shares of the batch, then over
        workers. A contrastive loss therefore compares within a piece only.

        Returns:
            The loss of the batch: () on the device, without gradient.
        """
        learner = self.learner
        learner.optimizer.zero_grad(set_to_none=True)
        losses = [self.backward(piece, share) for piece, share in pieces]
        with self.watch.compute():
            average_gradients(learner.model)
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(learner.model.parameters(), self.clip_norm)
            learner.optimizer.step()
            learner.weights.update(number)
        return average(torch.stack(losses).sum())

    def backward(self, piece: Batch, share: float = 1.0) -> Tensor:
        """Add the gradient of `share` times the loss of one piece; returns that product, detached."""
        with torch.no_grad():
            inputs = self.prepare(piece)
        with self.watch.compute():
            with autocast(self.device, self.precision):
                loss = self.loss_of(inputs) * share
            loss.backward()
        return loss.detach()

    def try_size(self, piece: Batch, size: int) -> None:
        """Run forwards and backwards on the first `size` examples of `piece`, with room for the optimizer.

        Twice: the second pass meets the gradients of the first, as pieces of a batch do. Called within
        `alone` where there are several workers; the model is good for nothing else afterwards.

        Raises:
            Exception: the allocator's, if they do not fit.
        """
        unsynchronise_batch_norm(self.learner.model)
        learnt = [p for p in self.learner.model.parameters() if p.requires_grad]
        # Room for what the optimizer allocates at its first step: at most two values a weight.
        reserved = (
            [] if self.learner.optimizer.state else [torch.empty_like(p) for p in learnt for _ in range(2)]
        )
        try:
            for _ in range(2):
                self.backward(Batch(piece.indices[:size], piece.generator, piece.progress))
        finally:
            self.learner.optimizer.zero_grad(set_to_none=True)
            reserved.clear()
