"""The training examples of each step, and its random generators."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from triptych.training.distributed import rank, shard
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import derive_seed, torch_generator


@dataclass(frozen=True)
class Batch:
    """The input of one forward pass: the batch of a step, or one micro-batch of it."""

    indices: Tensor  # (B,) int64 on the CPU, indices of training examples
    generator: torch.Generator  # random generator on the training device, for augmentation
    progress: float  # fraction of the training's steps done before this one, from 0 to below 1


def batch_size(recipe: Mapping[str, Any], num_examples: int) -> int:
    """Examples per optimizer step: the recipe's `batch_size`, or all of fewer `num_examples`.

    With several workers a multiple of `gpus` times `accumulate`.
    """
    if num_examples >= recipe["batch_size"]:
        return recipe["batch_size"]
    workers = recipe.get("gpus", 1)  # a plan of epochs is measured with one
    unit = workers * recipe["accumulate"] if workers > 1 else 1
    return num_examples // unit * unit


class Batches:
    """The batches of a training as a function of (seed, epoch, step) and nothing else.

    Each epoch visits the examples in a new order and drops the last incomplete batch. If there are fewer
    examples than `batch_size` (per optimizer step, over all workers), all of them are one batch. Raises
    `TriptychError` if they are too few for a batch, or for its `accumulate` micro-batches.
    """

    def __init__(
        self, num_examples: int, recipe: Mapping[str, Any], *, seed: int, device: torch.device, label: str
    ) -> None:
        self.num_examples, self.seed, self.device, self.label = num_examples, seed, device, label
        self.epochs, self.batch_size = recipe["epochs"], batch_size(recipe, num_examples)
        self.accumulate: int = recipe["accumulate"]
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))
        if self.batch_size < 2 * self.accumulate:
            raise TriptychError(
                f"{label}: accumulate splits batch_size {self.batch_size} into {self.accumulate} "
                "micro-batches, but batch norm needs at least 2 images in each; lower accumulate or "
                "add images"
            )
        self.steps = num_examples // self.batch_size

    def micro_batches(self, epoch: int, step: int) -> Iterator[tuple[Batch, float]]:
        """Yield the micro-batches of one step, each with its fraction of the batch.

        Each worker gets its shard of every micro-batch. Before a micro-batch is yielded, the global
        generator is seeded for it: dropout draws from that one.
        """
        if self._order[0] != epoch:
            generator = torch_generator("cpu", self.seed, "order", epoch)
            self._order = (epoch, torch.randperm(self.num_examples, generator=generator))
        batch = self._order[1][step * self.batch_size : (step + 1) * self.batch_size]
        progress = (epoch * self.steps + step) / (self.epochs * self.steps)
        for number, indices in enumerate(batch.tensor_split(self.accumulate)):
            place = (epoch, step, number, rank())
            torch.manual_seed(derive_seed(self.seed, "dropout", *place))
            generator = torch_generator(self.device, self.seed, "augment", *place)
            yield Batch(shard(indices), generator, progress), len(indices) / len(batch)
