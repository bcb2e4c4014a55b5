"""Nearest neighbours as an evaluation: the training images' features vote on the test images."""

import time

from triptych.classify.accuracy import accuracies
from triptych.classify.experiment import Experiment
from triptych.ssl.features import load_features
from triptych.ssl.knn import knn_scores


def evaluate_knn(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Write `metrics.json` with the test accuracies (percent) of `knn_scores`.

    The recipe holds `k` and `temperature`; nothing is trained or chosen.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    began = time.monotonic()
    scores = knn_scores(
        train.features,
        train.labels,
        test.features,
        num_classes=dataset.num_classes,
        k=recipe["k"],
        temperature=recipe["temperature"],
    )
    seconds = time.monotonic() - began
    experiment.write_metrics(accuracies(scores, test.labels, prefix="test_"), dataset, seconds)
