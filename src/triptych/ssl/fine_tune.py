"""Fine-tuning: the pretrained encoder is trained further, with all or some of the labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.augment.geometry import random_geometry
from triptych.experiments.evaluation import class_results, class_weights, evaluate, predict
from triptych.experiments.experiment import (
    Experiment,
    load_weights,
    save_weights,
    test_images,
    training_and_validation,
)
from triptych.experiments.operation_count import forward_flops, training_flops
from triptych.experiments.training import open_checkpoints
from triptych.ssl.encoder import build_encoder
from triptych.ssl.label_fraction import labelled_images
from triptych.training.batches import Batch
from triptych.training.distributed import rank
from triptych.training.loop import fit
from triptych.workflow.files import digest_of_file


def fine_tune(experiment: Experiment, encoder_file: str) -> None:
    """Train encoder and a new linear layer together on `percent` of the labels; test once.

    The recipe holds `architecture` (module, options), `percent`, `validation`, `base_augmentation`,
    `label_smoothing`, `class_weights` and what `fit` needs. The fraction is drawn from the training images
    without the validation split. The last epoch's weights are kept: selection by thousands of validation
    labels would contradict having few. Writes `metrics.json` (percent), `history.csv`, `tensorboard/` and
    `model.safetensors`. Raises `TriptychError` if the recipe does not fit the data (see `fit`,
    `training_and_validation` and `labelled_images`), or the weights do not fit the architecture.
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    train, validation = training_and_validation(dataset, recipe["validation"], device)
    labelled = labelled_images(train.labels, percent=recipe["percent"], seed=experiment.seed)
    weights = class_weights(recipe["class_weights"], train.labels[labelled.to(device)], dataset.num_classes)
    experiment.seed_weights()
    encoder, features = build_encoder(recipe["architecture"], dataset.image_size[0])
    load_weights(encoder, encoder_file)
    model = nn.Sequential(encoder, nn.Linear(features, dataset.num_classes))
    flops = forward_flops(model, dataset.image_size[0])
    model.to(memory_format=torch.channels_last).to(device)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        images = labelled[batch.indices]
        base, generator = recipe["base_augmentation"], batch.generator
        pixels = random_geometry(train.pixels(images), **base, size=train.side, generator=generator)
        return train.normalise(pixels), train.labels[images.to(device)]

    def loss(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> Tensor:
        pixels, labels = inputs
        smoothing = recipe["label_smoothing"]
        return F.cross_entropy(model(pixels).float(), labels, weights, label_smoothing=smoothing)

    checkpoints = open_checkpoints(experiment, dataset, encoder=digest_of_file(encoder_file))
    fitted = fit(
        model,
        prepare,
        loss,
        num_examples=len(labelled),
        **experiment.fit_options(),  # recipe, seed, device, label, folder
        checkpoints=checkpoints,
        evaluate=lambda: evaluate(model, validation, precision=recipe["precision"], prefix="validation_"),
    )
    if rank() > 0:
        return
    predictions = predict(model, test_images(dataset, device), precision=recipe["precision"])
    test = predictions.errors()
    save_weights(model, experiment.folder / "model.safetensors")
    metrics = {
        "test_top1_accuracy": 100 - test["top1_error"],
        "test_top5_accuracy": 100 - test["top5_error"],
        **class_results(predictions.top[:, 0], predictions.labels, dataset.num_classes),
        "validation_top1_accuracy": 100 - fitted.rows[-1]["validation_top1_error"],
        "labels": len(labelled),
        "epochs": recipe["epochs"],
        "flops_per_image": flops,
        "training_flops": training_flops(flops, fitted.images),
        "images_per_second": fitted.images_per_second,
    }
    experiment.write_metrics(metrics, dataset, fitted.seconds)
