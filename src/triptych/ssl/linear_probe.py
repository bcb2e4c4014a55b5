"""Linear evaluation: one linear layer on the features of a frozen encoder, fitted to its optimum.

The features are those of the images without augmentation, computed once. What remains is a convex problem
with one hyperparameter, the weight decay, and takes seconds.
"""

import time

import torch

from triptych.experiments.evaluation import test_accuracies
from triptych.experiments.experiment import Experiment, save_weights
from triptych.ssl.features import load_features
from triptych.ssl.label_fraction import labelled_images
from triptych.ssl.softmax_regression import SoftmaxRegression
from triptych.ssl.weight_decay_search import (
    search_folds,
    search_held_out,
    warn_at_end_of_grid,
    weight_decay_grid,
)


def probe(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Choose the weight decay on the validation split, fit all training images with it, test once.

    The recipe holds `validation` (training images held out for the choice; the same for all seeds) and
    `weight_decays` (see `weight_decay_grid`). `validation_top1_accuracy` is that of the fit without the
    held-out images; the test accuracies are those of the final fit, with all training images. Writes
    `metrics.json` (percent; with the path of all weight decays) and `classifier.safetensors`.
    Raises `TriptychError` if the data set is too small for the validation split.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    start = time.monotonic()
    kept, held_out = (
        train.select(torch.from_numpy(indices)) for indices in dataset.validation_split(recipe["validation"])
    )
    weight_decays = weight_decay_grid(recipe["weight_decays"])
    search = search_held_out(kept, held_out, dataset.num_classes, weight_decays)
    warn_at_end_of_grid(search, experiment.label)
    problem = SoftmaxRegression(train.features, train.labels, dataset.num_classes)
    solution = problem.fit(search.best.weight_decay, search.start)
    seconds = time.monotonic() - start
    save_weights(solution.classifier.layer(), experiment.folder / "classifier.safetensors")
    metrics = {
        **test_accuracies(solution.classifier(test.features), test.labels),
        **search.record(),
        "train_loss": solution.train_loss,
        "seconds": seconds,
    }
    experiment.write_metrics(metrics, dataset, seconds)


def probe_label_fraction(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Fit a linear classifier to a fraction of the training images; test it once.

    The recipe holds `percent` (of the labels), `folds` and `weight_decays`. The weight decay is chosen by
    cross-validation inside the fraction, so no other label is used; there are at most as many folds as images
    of the rarest class. Writes `metrics.json`.
    Raises `TriptychError` if the fraction has fewer than two images of a class.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    labelled = train.select(labelled_images(train.labels, percent=recipe["percent"], seed=experiment.seed))
    counts = torch.bincount(labelled.labels)
    folds = min(recipe["folds"], int(counts[counts > 0].min()))
    start = time.monotonic()
    weight_decays = weight_decay_grid(recipe["weight_decays"])
    search = search_folds(labelled, dataset.num_classes, weight_decays, folds=folds, seed=experiment.seed)
    warn_at_end_of_grid(search, experiment.label)
    problem = SoftmaxRegression(labelled.features, labelled.labels, dataset.num_classes)
    solution = problem.fit(search.best.weight_decay)
    seconds = time.monotonic() - start
    metrics = {
        **test_accuracies(solution.classifier(test.features), test.labels),
        **search.record(),
        "labels": len(labelled.labels),
        "folds": folds,
        "seconds": seconds,
    }
    experiment.write_metrics(metrics, dataset, seconds)
