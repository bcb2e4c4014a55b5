"""Nearest neighbours as an evaluation of cached features.

Apart from `knn`, so that an edit here does not make the pretraining stale.
"""

import math
import time

from triptych.experiments.evaluation import test_accuracies
from triptych.experiments.experiment import Experiment
from triptych.ssl.features import load_features
from triptych.ssl.knn import knn_scores

MAX_K = 200


def neighbours(images: int) -> int:
    """The number of neighbours that k `auto` stands for."""
    return min(MAX_K, round(math.sqrt(images)))


def evaluate_knn(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Classify the test images by votes of all training images; nothing is trained or selected.

    The recipe holds `k` and `temperature`; k `auto` is the square root of the number of training images, at
    most the customary 200. Writes `metrics.json` (accuracies in percent; `k`).
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    k = neighbours(len(train.labels)) if recipe["k"] == "auto" else recipe["k"]
    start = time.monotonic()
    scores = knn_scores(
        train.features,
        train.labels,
        test.features,
        num_classes=dataset.num_classes,
        k=k,
        temperature=recipe["temperature"],
    )
    seconds = time.monotonic() - start
    experiment.write_metrics({**test_accuracies(scores, test.labels), "k": k}, dataset, seconds)
