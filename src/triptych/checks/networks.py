"""The networks of a study, tried before anything trains, and the memory that their batches need."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from triptych.checks.sizes import Training
from triptych.classify.architectures import build_model, try_network
from triptych.config.knobs import MIN_SIDE
from triptych.data.packed import PackedDataset
from triptych.ssl.encoder import build_encoder
from triptych.workflow.devices import autocast, choose_device
from triptych.workflow.errors import TriptychError
from triptych.workflow.machine_memory import memory_limit

# Measured on a CPU with ResNet18 and ViT at 32 and 224 pixels, float32 and bfloat16: the peak of a step is
# 1.3 to 1.9 times what plain PyTorch saves for the backward pass.
PEAK = 2.0
BASE = 1.5e9  # bytes of Python, PyTorch and its libraries
VALUES = 4  # float32 values of a weight: itself, its gradient, two of the optimizer


def check_networks(
    dataset: PackedDataset, trainings: Iterable[Training], *, memory: bool = True
) -> Iterator[str]:
    """Try the network of each training and, with `memory`, compare what its batch needs with this machine.

    Memory is compared on a CPU only: a GPU says by itself what fits.

    Yields:
        Problems, one line each.
    """
    tried: dict[str, nn.Module | None] = {}
    for training in trainings:
        network = training.architecture
        if network is None:
            continue
        key = f"{network} {training.encoder}"
        if key not in tried:
            try:
                tried[key] = _build(dataset, training, network)
            except TriptychError as error:
                tried[key] = None
                yield f"config: architectures.{network['name']}: {error}"
        model = tried[key]
        if memory and model is not None and choose_device(training.recipe["device"]).type == "cpu":
            yield from _check_memory(model, training, dataset.image_size[0])


def _build(dataset: PackedDataset, training: Training, network: Mapping[str, Any]) -> nn.Module:
    side = dataset.image_size[0]
    if not training.encoder:
        return build_model(network["module"], dataset.num_classes, side, network["options"])
    encoder, _ = build_encoder(network, side)
    for stage in training.recipe["progressive_resizing"]:
        if stage["size"] >= MIN_SIDE:  # smaller ones are named by the checks of sizes
            name = f"self_supervision.simclr.progressive_resizing has views of {stage['size']} pixels"
            try_network(encoder, name, stage["size"])
    return encoder


def _check_memory(model: nn.Module, training: Training, side: int) -> Iterator[str]:
    recipe, gpus, accumulate = training.recipe, training.recipe["gpus"], training.recipe["accumulate"]
    side = max((stage["size"] for stage in recipe.get("progressive_resizing", [])), default=side)
    fixed = gpus * (BASE + VALUES * 4 * sum(p.numel() for p in model.parameters()))
    each = training.views * PEAK * saved_bytes(model, side, recipe["precision"])
    at_once = -(-training.batch // accumulate)
    needed, room = fixed + each * at_once, memory_limit()
    if needed <= room:
        return
    fits = max(0, int((room - fixed) / each))
    ways = [f"set {knob} to {value}" for knob, value in smaller_batches(recipe, training.batch, fits).items()]
    yield (
        f"config: {training.place}.batch_size is {recipe['batch_size']}; {at_once} images of {side} pixels "
        f"at a time need about {needed / 1e9:.1f} GB of memory, and this machine has {room / 1e9:.1f}; "
        + (", or ".join(ways) or f"not even {2 * gpus} fit: use smaller images or a smaller network")
    )


def smaller_batches(recipe: Mapping[str, Any], batch: int, fits: int) -> dict[str, int]:
    """Settings with which at most so many images are in memory at a time; none if there are no such settings.

    Args:
        recipe: `batch_size`, `accumulate` and `gpus`.
        batch: images of an optimizer step: `batch_size`, or fewer if the data set has fewer.
        fits: images that fit, in all processes together.

    Returns:
        A value of `batch_size` or of `accumulate`, either of which will do.
    """
    gpus, accumulate = recipe["gpus"], recipe["accumulate"]
    found = {}
    if fits >= 2 * gpus:
        found["batch_size"] = gpus * accumulate * 2 ** ((fits // gpus).bit_length() - 1)
    for count in range(accumulate + 1, batch // (2 * gpus) + 1):
        shared = gpus == 1 or recipe["batch_size"] % (gpus * count) == batch % (gpus * count) == 0
        if shared and -(-batch // count) <= fits:
            found["accumulate"] = count
            break
    return found


def saved_bytes(model: nn.Module, side: int, precision: str) -> float:
    """Bytes that the forward pass of an image saves for the backward pass.

    The difference between four images and two: what is saved once for all images does not count.
    """
    found = []
    for count in (2, 4):
        storages: dict[int, int] = {}

        def pack(tensor: Tensor, storages: dict[int, int] = storages) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        images = torch.zeros(count, 3, side, side).contiguous(memory_format=torch.channels_last)
        with torch.random.fork_rng([]), hooks, autocast(torch.device("cpu"), precision):
            kept = model.train()(images)
        found.append(sum(storages.values()))
        del kept
    return max(0.0, (found[1] - found[0]) / 2)
