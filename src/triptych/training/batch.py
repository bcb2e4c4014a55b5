"""Which examples a step sees, and the randomness that belongs to it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.training.distributed import own_share, rank
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import derive_seed, torch_generator


@dataclass(frozen=True)
class Batch:
    """What one forward pass may see: a step's batch, or one piece of it.

    Attributes:
        indices: (B,) int64 on the CPU, of the training examples.
        generator: on the training device, for augmentation.
        progress: share of the training's steps done before this one, from 0 to below 1.
    """

    indices: Tensor
    generator: torch.Generator
    progress: float


class Batches:
    """The batches of a training as a function of (seed, epoch, step) and nothing else.

    Each epoch visits the examples in a new order and drops the last incomplete batch.

    Args:
        size: number of training examples.
        batch_size: examples in one optimizer step, over all workers.
        accumulate: number of pieces that a step's batch is cut into.
        epochs: length of the training.
        seed: of the run.
        device: of the generators.
        label: named in errors.

    Raises:
        TriptychError: there are too few examples for a batch, or for the pieces of one.
    """

    def __init__(
        self,
        *,
        size: int,
        batch_size: int,
        accumulate: int,
        epochs: int,
        seed: int,
        device: torch.device,
        label: str,
    ) -> None:
        self.size, self.batch_size, self.accumulate = size, batch_size, accumulate
        self.epochs, self.seed, self.device = epochs, seed, device
        self.steps = size // batch_size
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))
        if self.steps == 0:
            raise TriptychError(
                f"{label}: batch_size is {batch_size} but there are only {size} training images; "
                "lower batch_size"
            )
        if batch_size < 2 * accumulate:
            raise TriptychError(
                f"{label}: accumulate cuts batch_size {batch_size} into {accumulate} pieces, but batch norm "
                "needs at least 2 images in each; lower accumulate"
            )

    def pieces(self, epoch: int, step: int) -> Iterator[tuple[Batch, float]]:
        """Yield the pieces of one step and each one's share of the batch; workers get their part of each.

        Before a piece is handed out, the global generator is seeded for it: dropout knows no other.
        """
        if self._order[0] != epoch:
            generator = torch_generator("cpu", self.seed, "order", epoch)
            self._order = (epoch, torch.randperm(self.size, generator=generator))
        batch = self._order[1][step * self.batch_size : (step + 1) * self.batch_size]
        progress = (epoch * self.steps + step) / (self.epochs * self.steps)
        for number, indices in enumerate(batch.tensor_split(self.accumulate)):
            place = (epoch, step, number, rank())
            torch.manual_seed(derive_seed(self.seed, "dropout", *place))
            generator = torch_generator(self.device, self.seed, "augment", *place)
            yield Batch(own_share(indices), generator, progress), len(indices) / len(batch)
