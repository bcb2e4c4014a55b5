"""What the recipes of part I change in the published ones, in words."""

from collections.abc import Mapping
from typing import Any

from triptych.report.comparison import PUBLISHED_MIXING, changed_knobs

PLAIN = {"schedule": "cosine", "batch_size": 128, "ema": 0.0, "clip_norm": None, "min_lr_ratio": 0.0}
# As the report's scripts and logs have them; warm-ups and what is not listed are not known or change nothing.
PUBLISHED_TRAININGS: dict[str, dict[str, Any]] = {
    "SimCLR": PLAIN
    | {
        "head_hidden": 512,
        "head_out": 128,
        "head_norm": False,
        "temperature": 0.5,
        "decoupled": False,
        "progressive_resizing": [],
        "accumulate": 1,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "weight_decay": 0.000001,
        "schedule": "constant",
    },
    "supervised training": PLAIN
    | {"optimizer": "sgd", "learning_rate": 0.01, "nesterov": False, "label_smoothing": 0.0},
}
PUBLISHED_VIEWS = {
    "count": 2,
    "crop_scale": [0.08, 1.0],
    "jitter": [0.4, 0.4, 0.4, 0.1],
    "jitter_probability": 0.8,
    "grayscale_probability": 0.2,
    "blur_probability": 0.0,
}
PUBLISHED_IMAGES = {"padding": 4, "flip": 0.5, "degrees": 0} | PUBLISHED_MIXING["baseline"]
PUBLISHED_PROBE = PLAIN | {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
PROBE_AT_OPTIMUM = (
    "the probe at its optimum on features of the images as they are, its weight decay chosen on validation "
    "images, instead of 100 epochs of SGD on cropped and mirrored ones"
)


def recipe_differences(
    simclr: Mapping[str, Any], supervised: Mapping[str, Any], probe: Mapping[str, Any]
) -> list[str]:
    """Phrases, each about one training; the arguments are recipes as result files carry them."""
    found = []
    for name, recipe in (("SimCLR", simclr), ("supervised training", supervised)):
        text = changed_knobs(recipe, PUBLISHED_TRAININGS[name])
        found += [f"{name} with {text}"] if text else []
    text = changed_knobs(simclr.get("views", {}), PUBLISHED_VIEWS)
    found += [f"views with {text}"] if text else []
    images = {**supervised.get("base_augmentation", {}), **supervised.get("augmentation", {})}
    text = changed_knobs(images, PUBLISHED_IMAGES)
    found += [f"supervised images with {text}"] if text else []
    if probe["protocol"] == "features":
        return [*found, PROBE_AT_OPTIMUM]
    text = changed_knobs(probe, PUBLISHED_PROBE)
    return [*found, *([f"the probe with {text}"] if text else [])]
