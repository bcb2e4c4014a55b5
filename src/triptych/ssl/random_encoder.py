"""The baseline that a pretrained encoder must beat: one with random weights."""

import torch
from torch import nn

from triptych.experiments.experiment import Experiment, save_weights, training_images
from triptych.kernels.registry import accelerate
from triptych.ssl.encoder import build_encoder
from triptych.workflow.devices import autocast


@torch.no_grad()
def initialise(experiment: Experiment) -> None:
    """Save an encoder with the weights from which `pretrain` starts for the same seed.

    The running statistics of its batch norms are estimated on training images, so that only the learning is
    missing. Writes `encoder.safetensors` and `metrics.json`.
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    images = training_images(dataset, device)
    experiment.seed_weights()
    encoder, _ = build_encoder(recipe["architecture"], dataset.image_size[0])
    encoder.to(memory_format=torch.channels_last).to(device)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches below
    accelerate(encoder).train()
    for indices in images.batches(torch.randperm(len(images))[:2560], 256):
        with autocast(device, recipe["precision"]):
            encoder(images.normalise(images.centres(indices)))
    save_weights(encoder, experiment.folder / "encoder.safetensors")
    experiment.write_metrics({"epochs": 0}, dataset, seconds=0.0)
