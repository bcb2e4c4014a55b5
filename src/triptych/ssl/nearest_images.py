"""Features of images by file name, and the images that an encoder takes for similar to some of them."""

import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from triptych.experiments.experiment import Experiment
from triptych.ssl.features import load_features
from triptych.workflow.files import atomic_path, write_array

QUERIES, NEIGHBOURS = 12, 8


def find_nearest_images(experiment: Experiment, *, train_file: str, test_file: str, names_file: str) -> None:
    """Collect all features, training images first, and find neighbours of some images by cosine similarity.

    Nothing is trained and no label is read. Writes `features.npy`, (N, D) float32; `files.csv` (file, split),
    its rows in the same order; `neighbours.csv` (query, query_file, rank, image, file, similarity), where
    query and image are rows of the former; and `metrics.json`. The test features may be empty; `names_file`
    is `files.csv` of the packed data set.
    """
    dataset, names = experiment.dataset(), pd.read_csv(names_file, keep_default_na=False)
    features = torch.cat([load_features(file).features for file in (train_file, test_file)])
    start = time.monotonic()
    directions = F.normalize(features, dim=1)
    queries = np.unique(np.linspace(0, len(features) - 1, QUERIES).round().astype(int))
    similarity = directions[queries] @ directions.T
    similarity[range(len(queries)), queries] = -torch.inf  # an image is no neighbour of itself
    nearest = similarity.topk(min(NEIGHBOURS, len(features) - 1), dim=1)
    rows = [
        {
            "query": query,
            "query_file": names["file"][query],
            "rank": rank,
            "image": image,
            "file": names["file"][image],
            "similarity": value,
        }
        for query, images, values in zip(
            queries.tolist(), nearest.indices.tolist(), nearest.values.tolist(), strict=True
        )
        for rank, (image, value) in enumerate(zip(images, values, strict=True), start=1)
    ]
    with atomic_path(experiment.folder / "features.npy") as temporary:
        write_array(temporary, features.numpy())
    for name, table in (("files.csv", names[["file", "split"]]), ("neighbours.csv", pd.DataFrame(rows))):
        with atomic_path(experiment.folder / name) as temporary:
            table.to_csv(temporary, index=False, float_format="%.5g", lineterminator="\n")
    metrics = {"images": len(features), "dimensions": features.shape[1], "queries": len(queries)}
    experiment.write_metrics(metrics, dataset, time.monotonic() - start)
