"""Nearest neighbours as an evaluation of cached features.

Apart from `knn`, so that an edit here does not make the pretraining stale.
"""

import time

from triptych.experiments.evaluation import accuracies
from triptych.experiments.experiment import Experiment
from triptych.ssl.features import load_features
from triptych.ssl.knn import knn_scores


def evaluate_knn(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Classify the test images by votes of all training images; nothing is trained or selected.

    The recipe holds `k` and `temperature`. Writes `metrics.json` (accuracies in percent).
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    start = time.monotonic()
    scores = knn_scores(
        train.features,
        train.labels,
        test.features,
        num_classes=dataset.num_classes,
        k=recipe["k"],
        temperature=recipe["temperature"],
    )
    seconds = time.monotonic() - start
    experiment.write_metrics(accuracies(scores, test.labels, prefix="test_"), dataset, seconds)
