"""Whether our numbers may be held against the published ones, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.report.published import published_epochs
from triptych.report.titles import dataset_title

PUBLISHED_DATASET = {"self_supervision": "cifar10", "grid": "cifar100"}
PUBLISHED_TRAIN_IMAGES = 50_000
PUBLISHED_MODELS = {
    "resnet18": {"width": 64},
    "vit": {"patch": 4, "dim": 512, "depth": 6, "heads": 8, "mlp": 1024},
}
# The grid's published trainings; what stands in neither was not used. Their warm-up is not known well enough.
PUBLISHED_RECIPES: dict[str, dict[str, Any]] = {
    "resnet18": {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "schedule": "step",
        "milestones": [20, 40, 60],
        "gamma": 0.2,
    },
    "vit": {"optimizer": "adam", "learning_rate": 0.0001, "schedule": "cosine", "dropout": 0.1},
}
SHARED = {"batch_size": 128, "validation": 5000}
UNUSED = {
    "nesterov": False,
    "label_smoothing": 0.0,
    "ema": 0.0,
    "stochastic_depth": 0.0,
    "mimetic": False,
    "clip_norm": None,
    "decay_biases": True,
    "min_lr_ratio": 0.0,
}
MODULES = {"resnet18": "triptych.models.resnet", "vit": "triptych.models.vit"}
PUBLISHED_AUGMENTATION = {"padding": 4, "flip": 0.5, "degrees": 15}
WITHOUT = {"module": None, "rand_augment": None, "random_erasing": None}
PUBLISHED_MIXING: dict[str, dict[str, Any]] = {
    "baseline": {"method": "none", **WITHOUT},
    "mixup": {"method": "mixup", "alpha": 0.4, "probability": 1.0, **WITHOUT},
    "cutout": {"method": "cutout", "probability": 1.0, **WITHOUT},  # the size of the hole is not known
    "cutmix": {"method": "cutmix", "alpha": 0.4, "probability": 1.0, **WITHOUT},
}

Cell = tuple[str, ...]  # architecture, augmentation; or the architecture alone


@dataclass(frozen=True)
class Comparison:
    """What differs between a part of this run and its published counterpart."""

    dataset: str
    published_dataset: str
    train_images: int
    differences: tuple[str, ...]

    @property
    def same_dataset(self) -> bool:
        """Whether both were measured on the same data set."""
        return self.dataset == self.published_dataset

    @property
    def likeness(self) -> str:
        """`alike`, `similar` (same data set, other recipe) or `other` (other data set)."""
        if not self.same_dataset:
            return "other"
        return "similar" if self.differences else "alike"

    @property
    def label(self) -> str:
        """`published`, with the data set's name where it is another one."""
        return "published" if self.same_dataset else f"published ({dataset_title(self.published_dataset)})"

    @property
    def verdict(self) -> str:
        """One or two sentences for the reader."""
        if not self.same_dataset:
            also = f" Also: {'; '.join(self.differences)}." if self.differences else ""
            return (
                f"Not comparable: this run uses the data set “{dataset_title(self.dataset)}” "
                f"({self.train_images:,} training images); the published figures are for "
                f"{dataset_title(self.published_dataset)} ({PUBLISHED_TRAIN_IMAGES:,}).{also}"
            )
        if self.differences:
            return f"Same data set, another recipe: {'; '.join(self.differences)}."
        return (
            "Same data set, models, recipes, and number of training images and epochs as published, as far "
            "as they are known; presets/report.yaml says what is not repeated."
        )


def _by_architecture(texts: Mapping[Cell, str]) -> list[str]:
    """What differs, said once of an architecture if it is true of all its cells; empty texts are nothing."""
    summed = []
    for architecture in dict.fromkeys(cell[0] for cell in texts):
        own = {"-".join(cell): text for cell, text in texts.items() if cell[0] == architecture}
        if len(set(own.values())) == 1:
            own = {architecture: next(iter(own.values()))}
        summed += [f"{name} {text}" for name, text in own.items() if text]
    return summed


def _model_differences(models: Mapping[Cell, Mapping[str, Any]]) -> list[str]:
    texts = {}
    for cell, options in models.items():
        changed = [
            f"{option} {options[option]} instead of {theirs}"
            for option, theirs in PUBLISHED_MODELS.get(cell[0], {}).items()
            if options.get(option, theirs) != theirs
        ]
        texts[cell] = f"with {', '.join(changed)}" if changed else ""
    return _by_architecture(texts)


def changed_knobs(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """`another …`, with the knobs of `theirs` whose values `ours` changes; empty if there are none.

    A knob that `ours` lacks is not known, and nothing is said of it.
    """
    changed = [knob.replace("_", " ") for knob, value in theirs.items() if ours.get(knob, value) != value]
    return f"another {', '.join(changed)}" if changed else ""


def recipe_differences(recipes: Mapping[Cell, Mapping[str, Any]]) -> list[str]:
    """In words, what the grid's recipes change in the published trainings, by cell.

    A recipe is what a result file says of itself; options of its network count like its other knobs. Of
    networks and columns that the report does not have, nothing is said, unless there are no others or one
    has the name of one of the report's.
    """
    named = {cell: recipe for cell, recipe in recipes.items() if cell[0] in MODULES}
    published = {
        cell: recipe for cell, recipe in named.items() if recipe["architecture"]["module"] == MODULES[cell[0]]
    }
    if not published:
        return ["none of the report's networks"]
    others = dict.fromkeys(cell[0] for cell in named if cell not in published)
    foreign = [f"another network for {name}" for name in others]
    trained: dict[Cell, str] = {}
    mixed: dict[Cell, str] = {}
    for cell, recipe in published.items():
        theirs = PUBLISHED_RECIPES[cell[0]] | SHARED | UNUSED
        if recipe["schedule"] != theirs["schedule"]:
            theirs = {knob: value for knob, value in theirs.items() if knob not in ("milestones", "gamma")}
        text = changed_knobs({**recipe["architecture"]["options"], **recipe}, theirs)
        trained[cell] = f"trained with {text}" if text else ""
        if cell[1] in PUBLISHED_MIXING:  # a column is the same in all rows
            text = changed_knobs(recipe["augmentation"], PUBLISHED_MIXING[cell[1]])
            mixed[cell[1],] = f"with {text}" if text else ""
    # So is what all cells share.
    text = changed_knobs(next(iter(published.values()))["base_augmentation"], PUBLISHED_AUGMENTATION)
    images = [f"images with {text}"] if text else []
    return [*foreign, *_by_architecture(trained), *images, *_by_architecture(mixed)]


def _epoch_differences(epochs: Mapping[str, int]) -> list[str]:
    changed: dict[str, list[str]] = {}
    for run, ours in epochs.items():
        theirs = published_epochs(run)
        if theirs is not None and ours != theirs:
            changed.setdefault(f"{ours} epochs instead of {theirs}", []).append(run)
    return [
        # Naming the runs is worth the space only where they are the exception.
        f"{text} ({', '.join(runs)})" if len(runs) <= len(epochs) // 2 else text
        for text, runs in sorted(changed.items(), key=lambda change: -len(change[1]))
    ]


def compare(
    experiment: str,
    dataset: Mapping[str, Any],
    *,
    epochs: Mapping[str, int],
    models: Mapping[Cell, Mapping[str, Any]],
    others: Sequence[str] = (),
) -> Comparison:
    """Compare a part of this run with what was published.

    Args:
        experiment: `self_supervision` or `grid`.
        dataset: the values of our `dataset.json`.
        epochs: epochs of our trainings by the published run they correspond to.
        models: options of our networks by cell.
        others: further differences, in words.
    """
    name, images = str(dataset["name"]), int(dataset["counts"]["train"])
    published = PUBLISHED_DATASET[experiment]
    fewer = name == published and images != PUBLISHED_TRAIN_IMAGES
    return Comparison(
        dataset=name,
        published_dataset=published,
        train_images=images,
        differences=(
            *([f"{images:,} training images instead of {PUBLISHED_TRAIN_IMAGES:,}"] if fewer else []),
            *_model_differences(models),
            *_epoch_differences(epochs),
            *others,
        ),
    )


def same_dataset(experiment: str, dataset: Mapping[str, Any]) -> bool:
    """Whether our data set is the one of the published figures."""
    return bool(dataset["name"] == PUBLISHED_DATASET[experiment])
