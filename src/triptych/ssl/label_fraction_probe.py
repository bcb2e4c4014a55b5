"""Linear evaluation when few labels are known: what pretraining without labels is for."""

import time

import torch

from triptych.classify.accuracy import accuracies
from triptych.classify.experiment import Experiment
from triptych.ssl.features import load_features
from triptych.ssl.label_fraction import labelled_images
from triptych.ssl.softmax_regression import SoftmaxRegression
from triptych.ssl.weight_decay_search import search_folds, warn_at_end_of_grid, weight_decay_grid


def probe_label_fraction(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Fit a linear classifier to a share of the training images; test it once.

    The recipe holds `percent` (of the labels), `folds` and `weight_decays`. The weight decay is
    chosen by cross-validation inside the share, so no other label is used; classes with fewer images
    than `folds` get as many folds as they have images. Writes `metrics.json`.

    Raises:
        TriptychError: the share has fewer than two images of a class.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    few = train.take(labelled_images(train.labels, percent=recipe["percent"], seed=experiment.seed))
    counts = torch.bincount(few.labels)
    folds = min(recipe["folds"], int(counts[counts > 0].min()))
    began = time.monotonic()
    weight_decays = weight_decay_grid(recipe["weight_decays"])
    search = search_folds(few, dataset.num_classes, weight_decays, folds=folds, seed=experiment.seed)
    warn_at_end_of_grid(search, experiment.label)
    problem = SoftmaxRegression(few.features, few.labels, dataset.num_classes)
    solution = problem.fit(search.best.weight_decay)
    seconds = time.monotonic() - began
    metrics = {
        **accuracies(solution.classifier(test.features), test.labels, prefix="test_"),
        **search.record(),
        "labels": len(few.labels),
        "folds": folds,
        "seconds": seconds,
    }
    experiment.write_metrics(metrics, dataset, seconds)
