"""SimCLR pretraining of a ResNet18 encoder (Chen et al. 2020)."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from triptych.augment.views import draw_views
from triptych.classify.experiment import Experiment, save_weights
from triptych.classify.training import fit, open_checkpoints
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset
from triptych.models.resnet import ResNet18
from triptych.ssl.heads import projection_head
from triptych.ssl.knn import KnnMonitor
from triptych.ssl.nt_xent import nt_xent
from triptych.training.distributed import gather_views, rank
from triptych.training.engine import Batch
from triptych.training.sync_batch_norm import synchronise_batch_norm
from triptych.workflow.devices import autocast

log = logging.getLogger("triptych")

COLLAPSED = 0.02  # spread of the features; encoders that learn, and random ones, are above 0.2
CHANCE = 0.99  # share of the loss without any information from which on nothing has been learnt


class Pretraining:
    """What a step of SimCLR computes: the model, its inputs and its loss.

    Args:
        recipe: `width`, `head_hidden`, `head_out`, `head_norm`, `temperature`, `decoupled`, `views` (see
            `draw_views`, and `count`), `stages` (see `size_at`).
        dataset: whose training images are used; labels and test images are not.
        device: of model and images.
    """

    def __init__(self, recipe: Mapping[str, Any], dataset: PackedDataset, device: torch.device) -> None:
        self.recipe, self.dataset = recipe, dataset
        self.images = training_images(dataset, device)
        self.encoder = ResNet18(width=recipe["width"])
        head = projection_head(
            self.encoder.features, recipe["head_hidden"], recipe["head_out"], norm=recipe["head_norm"]
        )
        model = nn.Sequential(self.encoder, head).to(memory_format=torch.channels_last).to(device)
        self.model = synchronise_batch_norm(model, device)

    def draw(self, batch: Batch, size: int) -> Tensor:
        """The views of a batch, view after view, `size` pixels high and wide."""
        return draw_views(
            self.images.bytes(batch.indices),
            self.recipe["views"],
            size=size,
            mean=self.dataset.mean,
            std=self.dataset.std,
            generator=batch.generator,
            count=self.recipe["views"]["count"],
        )

    def prepare(self, batch: Batch) -> Tensor:
        """The views of a batch, as large as the stage of the training wants them."""
        return self.draw(
            batch, size_at(self.recipe["progressive_resizing"], batch.progress, self.dataset.image_size[0])
        )

    def loss_of(self, views: Tensor) -> Tensor:
        """NT-Xent over the batches of all workers."""
        count = self.recipe["views"]["count"]
        projections = gather_views(self.model(views).float(), views=count)
        return nt_xent(
            projections, self.recipe["temperature"], views=count, decoupled=self.recipe["decoupled"]
        )


def size_at(stages: Sequence[Mapping[str, float]], progress: float, full: int) -> int:
    """Side of the views, in pixels, when a share `progress` of the training is done.

    Each of `stages` has a `share` of the training's steps (in any unit) and a `size`; without
    stages, views are as large as the images.
    """
    whole = sum(stage["share"] for stage in stages)
    until = 0.0
    for stage in stages:
        until += stage["share"] / whole
        if progress < until:
            return int(stage["size"])
    return int(stages[-1]["size"]) if stages else full


def seconds_until(
    stages: Sequence[Mapping[str, float]], step_seconds: Sequence[float], progress: float
) -> float:
    """What a share `progress` of the training takes, in units of its number of steps (see `size_at`)."""
    whole = sum(stage["share"] for stage in stages)
    began = seconds = 0.0
    for stage, each in zip(stages, step_seconds, strict=True):
        share = stage["share"] / whole
        seconds += each * min(max(progress - began, 0.0), share)
        began += share
    return seconds


def training_images(dataset: PackedDataset, device: torch.device) -> DeviceImages:
    """All training images on the device."""
    return DeviceImages(
        dataset.train_images, dataset.train_labels, mean=dataset.mean, std=dataset.std, device=device
    )


def pretrain(experiment: Experiment, step_seconds: Sequence[float] = ()) -> None:
    """Train an encoder without labels on all training images; the test images are not read.

    The recipe holds what `Pretraining` and the engine need, and `monitor_every`: epochs between two
    looks at the nearest neighbours of held-out training images, whose labels serve that only.
    `step_seconds`, one for each of its stages if they were measured, serve the ETA only.
    Writes `metrics.json`, `history.csv`, `tensorboard/` and `encoder.safetensors`; the projection head
    is discarded.
    """
    recipe = experiment.recipe
    dataset = experiment.dataset()
    experiment.seed_weights()
    training = Pretraining(recipe, dataset, experiment.device)
    monitor = KnnMonitor(training.images, training.encoder, precision=recipe["precision"])
    views = recipe["views"]["count"]
    compared = recipe["batch_size"] // recipe["accumulate"]  # images, in one piece of a batch
    chance = math.log(views * (compared - 1) + (0 if recipe["decoupled"] else 1))

    def look_at_loss(loss: float) -> None:
        if loss > CHANCE * chance:  # a collapse from the start shows after one epoch, long before a `look`
            log.warning(
                "%s: the loss is %.3f, that of an encoder that tells no images apart (%.3f)",
                experiment.label,
                loss,
                chance,
            )

    def look() -> dict[str, float]:
        found = monitor()
        if found["feature_std"] < COLLAPSED:
            log.warning(
                "%s: the features have collapsed (spread %.3f); lower learning_rate",
                experiment.label,
                found["feature_std"],
            )
        return found

    def cost(steps: int) -> float:
        total = recipe["epochs"] * (len(training.images) // recipe["batch_size"])
        return seconds_until(recipe["progressive_resizing"], step_seconds, steps / total)

    checkpoints = open_checkpoints(experiment, dataset)
    fitted = fit(
        experiment,
        training.model,
        training.prepare,
        training.loss_of,
        size=len(training.images),
        checkpoints=checkpoints,
        evaluate=look,
        evaluate_every=recipe["monitor_every"],
        look_at_loss=look_at_loss,
        cost=cost if recipe["progressive_resizing"] and step_seconds else None,
    )
    if rank() > 0:
        return
    last = fitted.rows[-1]
    save_weights(training.encoder, experiment.folder / "encoder.safetensors")
    metrics = {
        "final_train_loss": last["train_loss"],
        "knn_accuracy": last["knn_accuracy"],
        "feature_std": last["feature_std"],
        "epochs": recipe["epochs"],
        "model_share": fitted.model_share,
    }
    experiment.write_metrics(metrics, dataset, fitted.seconds)
    checkpoints.remove()


@torch.no_grad()
def initialise(experiment: Experiment) -> None:
    """Save an encoder that has learnt nothing: the baseline that a probe must beat.

    Weights are those `pretrain` starts from for the same seed. The running statistics of the batch
    norms are estimated on training images, so that only the learning is missing.
    Writes `encoder.safetensors` and `metrics.json`.
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    images = training_images(dataset, device)
    experiment.seed_weights()
    encoder = ResNet18(width=recipe["width"]).to(memory_format=torch.channels_last).to(device)
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a plain average over the batches below
    encoder.train()
    for indices in torch.randperm(len(images))[:2560].split(256):
        with autocast(device, recipe["precision"]):
            encoder(images.normalise(images.pixels(indices)))
    save_weights(encoder, experiment.folder / "encoder.safetensors")
    experiment.write_metrics({"epochs": 0}, dataset, seconds=0.0)
