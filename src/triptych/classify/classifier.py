"""Supervised training of one classifier: the supervised rival and every cell of the grid."""

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.classify.architectures import build_model
from triptych.classify.evaluation import ask, evaluate
from triptych.classify.experiment import (
    Experiment,
    save_predictions,
    save_weights,
    test_images,
    training_and_validation,
)
from triptych.classify.training import fit, open_checkpoints
from triptych.nn.augmentation import make_augmentation
from triptych.nn.flops import forward_flops, training_flops
from triptych.nn.sync_batch_norm import synchronise_batch_norm
from triptych.training.collectives import rank
from triptych.training.engine import Batch


def train_classifier(experiment: Experiment) -> None:
    """Train, choose the epoch on the validation split, touch the test set once.

    The recipe holds `architecture` (module, options), `augmentation` (padding, flip, degrees), `mixing`
    (the column's own part; see `make_augmentation`), `validation`, `label_smoothing`, and what the
    engine needs.
    Writes `metrics.json` (errors and accuracies in percent), `history.csv`, `tensorboard/`,
    `model.safetensors` and `predictions.npy` (the class predicted for each test image).

    Raises:
        TriptychError: the recipe does not fit the data (see `fit` and `training_and_validation`).
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    train, validation = training_and_validation(dataset, recipe["validation"], device)
    experiment.seed_weights()
    architecture = recipe["architecture"]
    model = build_model(
        architecture["module"], dataset.num_classes, dataset.image_size[0], architecture["options"]
    )
    flops = forward_flops(model, dataset.image_size[0])
    model = synchronise_batch_norm(model.to(memory_format=torch.channels_last).to(device), device)
    augment = make_augmentation(recipe["augmentation"], recipe["mixing"], train.normalise)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        labels = F.one_hot(train.labels[batch.indices.to(device)], dataset.num_classes).float()
        return augment(train.pixels(batch.indices), labels, batch.generator)

    def loss_of(inputs: tuple[Tensor, Tensor]) -> Tensor:
        pixels, labels = inputs
        return F.cross_entropy(model(pixels).float(), labels, label_smoothing=recipe["label_smoothing"])

    def validate() -> dict[str, float]:
        return evaluate(model, validation, precision=recipe["precision"], prefix="validation_")

    checkpoints = open_checkpoints(experiment, dataset)
    fitted = fit(
        experiment,
        model,
        prepare,
        loss_of,
        size=len(train),
        checkpoints=checkpoints,
        evaluate=validate,
        select="validation_top1_error",
    )
    if rank() > 0:
        return
    chosen = fitted.rows[fitted.best_epoch - 1]
    answers = ask(model, test_images(dataset, device), precision=recipe["precision"])
    save_predictions(answers.predictions, dataset.num_classes, experiment.folder / "predictions.npy")
    save_weights(model, experiment.folder / "model.safetensors")
    test = answers.scores()
    metrics = {
        "test_top1_error": test["top1_error"],
        "test_top5_error": test["top5_error"],
        "test_top1_accuracy": 100 - test["top1_error"],
        "test_top5_accuracy": 100 - test["top5_error"],
        "test_loss": test["loss"],
        "validation_top1_error": chosen["validation_top1_error"],
        "validation_top5_error": chosen["validation_top5_error"],
        "validation_top1_accuracy": 100 - chosen["validation_top1_error"],
        "best_epoch": fitted.best_epoch,
        "epochs": recipe["epochs"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops_per_image": flops,
        "training_flops": training_flops(flops, fitted.images),
        "images_per_second": fitted.images_per_second,
    }
    if dataset.superclasses is not None:
        metrics["test_superclass_error"] = answers.group_error(dataset.superclasses.of_class)
    experiment.write_metrics(metrics, dataset, fitted.seconds)
    checkpoints.remove()
