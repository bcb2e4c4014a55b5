"""Supervised training of one classifier: the supervised baseline and every cell of the grid."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.augment.augmentation import make_augmentation
from triptych.classify.architectures import build_model
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_subset
from triptych.experiments.evaluation import class_results, class_weights, evaluate, predict
from triptych.experiments.experiment import (
    Experiment,
    save_weights,
    test_images,
    training_and_validation,
    training_images,
)
from triptych.experiments.operation_count import forward_flops, training_flops
from triptych.experiments.training import open_checkpoints
from triptych.training.batches import Batch
from triptych.training.distributed import rank
from triptych.training.loop import fit
from triptych.workflow.files import atomic_path, write_array


class Classification:
    """Model, inputs and loss of a training step.

    The recipe has `architecture` (module, options), `base_augmentation` (padding, flip, degrees),
    `augmentation` (the cell's own; see `make_augmentation`), `validation`, `label_smoothing`, `class_weights`
    and `precision`. Raises `TriptychError` if the data set is too small for the validation split.
    """

    def __init__(self, recipe: Mapping[str, Any], dataset: PackedDataset, device: torch.device) -> None:
        self.recipe, self.classes = recipe, dataset.num_classes
        self.train, self.validation = training_and_validation(dataset, recipe["validation"], device)
        self.fitted = fitted_images(dataset, recipe["validation"], device)
        self.class_weights = class_weights(recipe["class_weights"], self.train.labels, self.classes)
        architecture, side = recipe["architecture"], dataset.image_size[0]
        model = build_model(architecture["module"], self.classes, side, architecture["options"])
        self.flops = forward_flops(model, side)
        self.model = model.to(memory_format=torch.channels_last).to(device)
        self.augment = make_augmentation(
            recipe["base_augmentation"], recipe["augmentation"], self.train.normalise, side
        )

    def prepare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Augmented images of a batch and their labels as distributions, (N, classes)."""
        labels = F.one_hot(self.train.labels[batch.indices.to(self.train.device)], self.classes).float()
        return self.augment(self.train.pixels(batch.indices), labels, batch.generator)

    def loss(self, model: nn.Module, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy with the recipe's label smoothing and class weights."""
        pixels, labels = inputs
        logits = model(pixels).float()
        smoothing = self.recipe["label_smoothing"]
        return F.cross_entropy(logits, labels, self.class_weights, label_smoothing=smoothing)

    def validate(self) -> dict[str, float]:
        """`validation_loss` and `validation_top1_error`, `validation_top5_error` in percent.

        `clean_train_…` are the same of `fitted_images`. Their distance from the validation is overfitting.
        """
        precision = self.recipe["precision"]
        return {
            **evaluate(self.model, self.validation, precision=precision, prefix="validation_"),
            **evaluate(self.model, self.fitted, precision=precision, prefix="clean_train_"),
        }


def fitted_images(
    dataset: PackedDataset, validation: int | Literal["auto"], device: torch.device
) -> DeviceImages:
    """As many of the images that are trained on as there are validation images, evaluated as they are."""
    train, held_out = dataset.validation_split(validation)
    count = min(len(train), len(held_out))
    chosen = stratified_subset(dataset.train_labels[train], count, seed=0)
    return training_images(dataset, device, train[chosen])


def train_classifier(experiment: Experiment) -> None:
    """Train, choose the epoch on the validation split, evaluate once on the test images.

    The recipe holds what `Classification` and `fit` need. Writes `metrics.json` (errors and accuracies in
    percent), `history.csv`, `tensorboard/`, `model.safetensors` and `predictions.npy` (the class predicted
    for each test image).
    Raises `TriptychError` if the recipe does not fit the data (see `fit` and `training_and_validation`).
    """
    recipe, device = experiment.recipe, experiment.device
    dataset = experiment.dataset()
    experiment.seed_weights()
    training = Classification(recipe, dataset, device)
    model = training.model
    checkpoints = open_checkpoints(experiment, dataset)
    fitted = fit(
        model,
        training.prepare,
        training.loss,
        num_examples=len(training.train),
        **experiment.fit_options(),  # recipe, seed, device, label, folder
        checkpoints=checkpoints,
        evaluate=training.validate,
        select="validation_top1_error",
    )
    if rank() > 0:
        return
    chosen = fitted.rows[fitted.best_epoch - 1]
    predictions = predict(model, test_images(dataset, device), precision=recipe["precision"])
    smallest = np.min_scalar_type(dataset.num_classes - 1)
    with atomic_path(experiment.folder / "predictions.npy") as temporary:
        write_array(temporary, predictions.classes.astype(smallest))
    save_weights(model, experiment.folder / "model.safetensors")
    test = predictions.errors()
    metrics = {
        "test_top1_error": test["top1_error"],
        "test_top5_error": test["top5_error"],
        "test_top1_accuracy": 100 - test["top1_error"],
        "test_top5_accuracy": 100 - test["top5_error"],
        "test_loss": test["loss"],
        **class_results(predictions.top[:, 0], predictions.labels, dataset.num_classes),
        "validation_top1_error": chosen["validation_top1_error"],
        "validation_top5_error": chosen["validation_top5_error"],
        "validation_top1_accuracy": 100 - chosen["validation_top1_error"],
        "best_epoch": fitted.best_epoch,
        "epochs": recipe["epochs"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops_per_image": training.flops,
        "training_flops": training_flops(training.flops, fitted.images),
        "images_per_second": fitted.images_per_second,
    }
    if dataset.superclasses is not None:
        metrics["test_superclass_error"] = predictions.group_error(dataset.superclasses.of_class)
    experiment.write_metrics(metrics, dataset, fitted.seconds)
