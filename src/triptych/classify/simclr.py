"""SimCLR pretraining of a ResNet18 encoder (Chen et al. 2020), as the report defines it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from triptych.classify.experiment import Experiment, save_weights
from triptych.data.device import DeviceImages
from triptych.nn.color import color_jitter, random_grayscale
from triptych.nn.geometry import gaussian_blur, random_resized_crop_flip
from triptych.nn.heads import projection_head
from triptych.nn.nt_xent import nt_xent
from triptych.nn.resnet import ResNet18
from triptych.run.devices import autocast
from triptych.training.engine import Batch


def draw_view(pixels: Tensor, views: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """One random view of each image: crop and resize, mirror, colour, grey, blur.

    Args:
        pixels: (N, 3, H, W) float in 0..1.
        views: `crop_scale` (least and greatest share of the area), `jitter` (four strengths),
            `jitter_probability`, `grayscale_probability`, `blur_probability`.
        generator: on the device of the images.

    Returns:
        (N, 3, H, W) float in 0..1.
    """
    low, high = views["crop_scale"]
    pixels = random_resized_crop_flip(pixels, size=pixels.shape[-1], scale=(low, high), generator=generator)
    brightness, contrast, saturation, hue = views["jitter"]
    pixels = color_jitter(
        pixels,
        strength=(brightness, contrast, saturation, hue),
        probability=views["jitter_probability"],
        generator=generator,
    )
    pixels = random_grayscale(pixels, probability=views["grayscale_probability"], generator=generator)
    blur = views["blur_probability"]
    if blur:
        pixels = gaussian_blur(pixels, sigma=(0.1, 2.0), probability=blur, generator=generator)
    return pixels


def pretrain(experiment: Experiment) -> None:
    """Train an encoder without labels on all training images; the test images are not read.

    The recipe holds `width`, `head_hidden`, `head_out`, `temperature`, `views` and what the engine
    needs. Writes `metrics.json`, `history.csv`, `tensorboard/` and `encoder.safetensors`; the
    projection head is discarded.
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    images = DeviceImages(
        dataset.train_images, dataset.train_labels, mean=dataset.mean, std=dataset.std, device=device
    )
    experiment.seed_weights()
    encoder = ResNet18(width=recipe["width"])
    head = projection_head(encoder.features, recipe["head_hidden"], recipe["head_out"])
    model = nn.Sequential(encoder, head).to(memory_format=torch.channels_last).to(device)

    def prepare(batch: Batch) -> Tensor:
        pixels = images.pixels(batch.indices).repeat(2, 1, 1, 1)
        return images.normalise(draw_view(pixels, recipe["views"], batch.generator))

    def loss_of(views: Tensor) -> Tensor:
        return nt_xent(model(views), recipe["temperature"])

    checkpoints = experiment.open_checkpoints(dataset)
    fitted = experiment.fit(model, prepare, loss_of, size=len(images), checkpoints=checkpoints)
    save_weights(encoder, experiment.folder / "encoder.safetensors")
    metrics = {"final_train_loss": fitted.rows[-1]["train_loss"], "epochs": recipe["epochs"]}
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
    images = DeviceImages(
        dataset.train_images, dataset.train_labels, mean=dataset.mean, std=dataset.std, device=device
    )
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
