"""A map of images by t-SNE on their features: similar ones are close."""

import time

import pandas as pd
import torch
import torch.nn.functional as F

from triptych.data.splits import stratified_subset
from triptych.experiments.experiment import Experiment
from triptych.ssl.features import load_features
from triptych.ssl.tsne import tsne
from triptych.workflow.files import atomic_path


def map_features(experiment: Experiment, *, features_file: str) -> None:
    """Map the directions of some features by `tsne`, without labels.

    The recipe holds `points` (images, in the proportions of the classes, the same for all
    encoders and seeds) and `perplexity`. The features are those of the test images, or without labels those
    of the training images. Writes `map.csv` (image, class, x, y) and `metrics.json`.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    test = load_features(features_file)
    points = min(recipe["points"], len(test.labels))
    chosen = stratified_subset(test.labels.numpy(), points, seed=0)
    start = time.monotonic()
    features = F.normalize(test.features[torch.from_numpy(chosen)], dim=1)
    positions, divergence = tsne(features, perplexity=recipe["perplexity"])
    seconds = time.monotonic() - start
    rows = pd.DataFrame(
        {
            "image": chosen,
            "class": [
                dataset.classes[label] if dataset.labelled else ""
                for label in test.labels[torch.from_numpy(chosen)].tolist()
            ],
            "x": positions[:, 0].numpy(),
            "y": positions[:, 1].numpy(),
        }
    )
    with atomic_path(experiment.folder / "map.csv") as temporary:
        rows.to_csv(temporary, index=False, float_format="%.5g", lineterminator="\n")
    experiment.write_metrics({"points": points, "divergence": divergence}, dataset, seconds)
