"""Linear evaluation: one linear layer on the features of a frozen encoder, fitted to its optimum.

The features are those of the images as they are, computed once. What is left is a convex problem
with one number to choose, the weight decay, and it takes seconds.
"""

import time

import torch

from triptych.classify.accuracy import accuracies
from triptych.classify.experiment import Experiment, save_weights
from triptych.data.splits import stratified_split
from triptych.ssl.features import load_features
from triptych.ssl.softmax_regression import LinearClassifier, SoftmaxRegression
from triptych.ssl.weight_decay_search import search_held_out, warn_at_end_of_grid, weight_decay_grid
from triptych.workflow.errors import TriptychError


def linear_layer(classifier: LinearClassifier) -> torch.nn.Linear:
    """The classifier as a module, for features that are not standardised."""
    classes, features = classifier.weight.shape
    layer = torch.nn.Linear(features, classes)
    layer.load_state_dict({"weight": classifier.weight, "bias": classifier.bias})
    return layer


def probe(experiment: Experiment, *, train_file: str, test_file: str) -> None:
    """Choose the weight decay on the validation split, fit all training images with it, test once.

    The recipe holds `validation` (training images held out for the choice; the same for all seeds) and
    `weight_decays` (see `weight_decay_grid`). After the choice the held-out images join the
    others again: `validation_top1_accuracy` is from before that, the test accuracies from after it.
    Writes `metrics.json` (percent; with the path of all weight decays) and `classifier.safetensors`.

    Raises:
        TriptychError: the data set is too small for the validation split.
    """
    recipe, dataset = experiment.recipe, experiment.dataset()
    train, test = load_features(train_file), load_features(test_file)
    if recipe["validation"] >= len(train.labels):
        raise TriptychError(
            f"data set '{dataset.name}': validation is {recipe['validation']} of {len(train.labels)} "
            "training images; lower probe.validation in the config"
        )
    began = time.monotonic()
    kept, held_out = (
        train.take(torch.from_numpy(indices))
        for indices in stratified_split(train.labels.numpy(), recipe["validation"], seed=0)
    )
    weight_decays = weight_decay_grid(recipe["weight_decays"])
    search = search_held_out(kept, held_out, dataset.num_classes, weight_decays)
    warn_at_end_of_grid(search, experiment.label)
    problem = SoftmaxRegression(train.features, train.labels, dataset.num_classes)
    solution = problem.fit(search.best.weight_decay, search.start)
    seconds = time.monotonic() - began
    scores = solution.classifier(test.features)
    save_weights(linear_layer(solution.classifier), experiment.folder / "classifier.safetensors")
    metrics = {
        **accuracies(scores, test.labels, prefix="test_"),
        **search.record(),
        "train_loss": solution.train_loss,
        "seconds": seconds,
    }
    experiment.write_metrics(metrics, dataset, seconds)
