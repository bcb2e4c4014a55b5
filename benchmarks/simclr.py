"""What does each choice in SimCLR's recipe give, at about equal cost?

Each variant changes `BASE`, which changes the config's defaults. A ResNet18 is pretrained on 42,500 training
images of CIFAR-10, for the same number of views in each variant. A linear probe and nearest neighbours then
classify 5,000 other training images; the remaining 2,500 choose the probe's penalty. The test images are not
read. A variant takes some minutes on a CPU. BENCH_VARIANTS="muon views_4" runs only these,
BENCH_SEEDS="0 1 2" several seeds (default: 0), BENCH_IMAGES=22500 trains on fewer images, for fewer views.

- `VARIANT_linear`, `VARIANT_knn`: percent, mean over the seeds; `VARIANT_linear_std` with several.
- `VARIANT_minutes`: of pretraining, which depends on what else the machine does.
- `images`: trained on.

CIFAR-10 must have been packed: `snakemake --cores 1 results/data/cifar10/dataset.json`.
"""

import os
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks._recipes import simclr_recipe
from benchmarks._variants import fit_and_forget, means, packed, wanted
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_split
from triptych.experiments.experiment import training_images
from triptych.ssl.encoding import encode
from triptych.ssl.knn import knn_accuracy
from triptych.ssl.simclr import SimCLR
from triptych.ssl.softmax_regression import LinearClassifier, SoftmaxRegression
from triptych.workflow.devices import choose_device
from triptych.workflow.seeds import derive_seed

HELD_OUT = 5000
TUNING = 2500  # images that choose the penalty of the probe
PENALTIES = (1e-3, 3e-3, 1e-2)


def stages(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    """Stages of progressive resizing from their shares and scales."""
    return [{"share": share, "scale": scale} for share, scale in pairs]


VIEWS = {"crop_scale": [0.2, 1.0], "grayscale_probability": 0.1, "blur_probability": 0.0}
MUON = {"optimizer": "muon", "learning_rate": 0.05, "momentum": 0.95, "weight_decay": 0.01}
FOUR = {"views": VIEWS | {"count": 4}, "epochs": 2, "batch_size": 128}
BASE: dict[str, Any] = {
    "learning_rate": 0.12,
    "nesterov": True,
    "head_hidden": 1024,
    "head_norm": True,
    "temperature": 0.2,
    "views": VIEWS,
    "progressive_resizing": stages((0.9, 0.5), (0.1, 1.0)),
    "epochs": 4,
    "batch_size": 256,
    "warmup_epochs": 0.2,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "sgd_rate_024": {"learning_rate": 0.24},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.002, "weight_decay": 0.01},
    "lars": {"optimizer": "lars", "learning_rate": 1.0, "weight_decay": 1e-6},
    "views_4": FOUR,
    "muon": MUON,
    "muon_rate_002": MUON | {"learning_rate": 0.02},
    "muon_rate_010": MUON | {"learning_rate": 0.1},
    "muon_views_4": MUON | FOUR,
    "muon_views_8": MUON | FOUR | {"views": VIEWS | {"count": 8}, "epochs": 1, "batch_size": 64},
    "muon_views_4_batch_256": MUON | FOUR | {"batch_size": 256, "learning_rate": 0.07},
    "muon_views_4_decoupled": MUON | FOUR | {"decoupled": True},
    "muon_views_4_temperature_01": MUON | FOUR | {"temperature": 0.1},
    "muon_views_4_temperature_05": MUON | FOUR | {"temperature": 0.5},
    "muon_views_4_average": MUON | FOUR | {"ema": 0.99},
    "muon_views_4_blur_and_grey": MUON
    | FOUR
    | {"views": VIEWS | {"count": 4, "grayscale_probability": 0.2, "blur_probability": 0.5}},
    "muon_views_4_crop_008": MUON | FOUR | {"views": VIEWS | {"count": 4, "crop_scale": [0.08, 1.0]}},
    "muon_views_4_head_without_norm": MUON | FOUR | {"head_norm": False},
    "muon_views_4_head_512": MUON | FOUR | {"head_hidden": 512},
    "muon_views_4_head_2048": MUON | FOUR | {"head_hidden": 2048},
    "muon_views_4_from_12_pixels": MUON
    | FOUR
    | {"progressive_resizing": stages((0.5, 0.375), (0.4, 0.5), (0.1, 1.0))},
    "muon_views_4_over_24_pixels": MUON
    | FOUR
    | {"progressive_resizing": stages((0.8, 0.5), (0.1, 0.75), (0.1, 1.0))},
    "muon_views_4_full_size": MUON | FOUR | {"progressive_resizing": [], "epochs": 1},
}


def _part(dataset: PackedDataset, indices: Any) -> PackedDataset:
    return replace(
        dataset, train_images=dataset.train_images[indices], train_labels=dataset.train_labels[indices]
    )


def _run(
    recipe: dict[str, Any],
    train: PackedDataset,
    tuning: DeviceImages,
    held: DeviceImages,
    seed: int,
    name: str,
) -> list[float]:
    """Percent by the probe, percent by neighbours, minutes."""
    torch.manual_seed(derive_seed(seed, "weights"))
    training = SimCLR(recipe, train, held.device)
    fitted = fit_and_forget(
        training, recipe, examples=len(training.images), seed=seed, device=held.device, name=name
    )
    sets = training.images, tuning, held
    bank, chooser, queries = (
        encode(training.encoder, images, precision=recipe["precision"]).cpu() for images in sets
    )
    bank_labels, chooser_labels, labels = (images.labels.cpu() for images in sets)
    probe = SoftmaxRegression(bank, bank_labels, train.num_classes)

    def accuracy(classifier: LinearClassifier, features: Tensor, labels: Tensor) -> float:
        return 100 * (classifier(features).argmax(1) == labels).float().mean().item()

    classifiers = [probe.fit(penalty).classifier for penalty in PENALTIES]
    best = max(classifiers, key=lambda classifier: accuracy(classifier, chooser, chooser_labels))
    neighbours = knn_accuracy(bank, bank_labels, queries, labels)
    return [accuracy(best, queries, labels), neighbours, fitted.seconds / 60]


def measure() -> dict[str, float | str]:
    """Run the variants one after the other."""
    names, seeds = wanted(VARIANTS)
    device = choose_device("auto")
    dataset = packed("cifar10")
    others, held_out = stratified_split(dataset.train_labels, HELD_OUT, seed=0)
    rest, chooser = (others[part] for part in stratified_split(dataset.train_labels[others], TUNING, seed=0))
    images = int(os.environ.get("BENCH_IMAGES", len(rest)))
    if images < len(rest):
        rest = rest[stratified_split(dataset.train_labels[rest], images, seed=0)[1]]
    train = _part(dataset, rest)
    tuning, queries = (training_images(_part(dataset, part), device) for part in (chooser, held_out))
    found: dict[str, float | str] = {"images": len(rest)}
    for name in names:
        runs = [
            _run(simclr_recipe(**BASE | VARIANTS[name]), train, tuning, queries, seed, name) for seed in seeds
        ]
        linear, neighbours, minutes = zip(*runs, strict=True)
        found |= means(name, linear=linear, knn=neighbours, minutes=minutes)
    return found
