"""Whether this run is comparable with the published one, and how their recipes differ, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.report.published import dataset_title, published_epochs, published_recipes, same_dataset

Cell = tuple[str, ...]  # architecture, augmentation; or the architecture alone
Recipe = Mapping[str, Any]
# The course of the learning rate: compared only if the schedule is the same.
OF_SCHEDULE = ("learning_rate", "milestones", "gamma", "schedule_epochs", "warmup_epochs", "warmup_peak")
PROBE_ON_FEATURES = (
    "the probe at its optimum on features of the images as they are, its weight decay chosen on validation "
    "images, instead of 100 epochs of SGD on cropped and mirrored ones"
)


@dataclass(frozen=True)
class Comparison:
    """What differs between a part of this run and its published counterpart.

    Attributes:
        own: whether the data are the user's own, which nothing published belongs to.
        summary: what was found in them.
    """

    dataset: str
    published_dataset: str
    train_images: int
    differences: tuple[str, ...]
    not_repeated: tuple[str, ...]
    own: bool = False
    summary: str = ""

    @property
    def same_dataset(self) -> bool:
        """Whether both were measured on the same data set."""
        return self.dataset == self.published_dataset

    @property
    def likeness(self) -> str:
        """`alike`, `similar` (same data set, other recipe), `other` (other data set) or `own`."""
        if self.own:
            return "own"
        if not self.same_dataset:
            return "other"
        return "similar" if self.differences else "alike"

    @property
    def label(self) -> str | None:
        """`published`, with the data set's name where it is another one; None: nothing published is shown."""
        if self.own:
            return None
        return "published" if self.same_dataset else f"published ({dataset_title(self.published_dataset)})"

    @property
    def verdict(self) -> str:
        """What a reader must know before comparing; of own data, what was found when it was packed."""
        if self.own:
            return self.summary
        if not self.same_dataset:
            also = f" Also different: {'; '.join(self.differences)}." if self.differences else ""
            return (
                "Not comparable with the published figures: the data set is "
                f"“{dataset_title(self.dataset)}”, not {dataset_title(self.published_dataset)}. It "
                f"has {self.train_images:,} training images "
                f"instead of {published_recipes()['train_images']:,}.{also}"
            )
        if self.differences:
            return f"Same data set as published, another recipe. Different: {'; '.join(self.differences)}."
        return (
            "Data set, networks and recipes are the published ones, as far as these are known. Not repeated: "
            f"{'; '.join(self.not_repeated)}."
        )


def own_data(dataset: Mapping[str, Any]) -> Comparison:
    """No comparison, for a `dataset.json` of the user's own images (see `is_own`)."""
    name, images = str(dataset["name"]), int(dataset["counts"]["train"])
    summary = f"“{name}”: {dataset['source']['summary']}"
    return Comparison(name, "", images, (), (), own=True, summary=summary)


def compare(
    experiment: str,
    dataset: Mapping[str, Any],
    *,
    epochs: Mapping[str, int],
    models: Mapping[Cell, Recipe],
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
    published = published_recipes()
    images, expected = int(dataset["counts"]["train"]), published["train_images"]
    fewer = same_dataset(experiment, dataset) and images != expected
    return Comparison(
        dataset=str(dataset["name"]),
        published_dataset=published["datasets"][experiment],
        train_images=images,
        differences=(
            *([f"{images:,} training images instead of {expected:,}"] if fewer else []),
            *_model_differences(models),
            *_epoch_differences(epochs),
            *others,
        ),
        not_repeated=tuple(published["not_repeated"][experiment]),
    )


def _model_differences(models: Mapping[Cell, Recipe]) -> list[str]:
    texts = {}
    for cell, options in models.items():
        published = published_recipes()["models"].get(cell[0], {"options": {}})["options"]
        changed = [
            f"{option} {options[option]} instead of {value}"
            for option, value in published.items()
            if options.get(option, value) != value
        ]
        texts[cell] = f"with {', '.join(changed)}" if changed else ""
    return _by_architecture(texts)


def _epoch_differences(epochs: Mapping[str, int]) -> list[str]:
    changed: dict[str, list[str]] = {}
    for run, ours in epochs.items():
        published = published_epochs(run)
        if published is not None and ours != published:
            changed.setdefault(f"{ours} epochs instead of {published}", []).append(run)
    return [
        # Name the runs only if they are the minority.
        f"{text} ({', '.join(runs)})" if len(runs) <= len(epochs) // 2 else text
        for text, runs in sorted(changed.items(), key=lambda change: -len(change[1]))
    ]


def _by_architecture(texts: Mapping[Cell, str]) -> list[str]:
    """`cell text`, or `architecture text` where all its cells have the same; empty texts are left out."""
    lines = []
    for architecture in dict.fromkeys(cell[0] for cell in texts):
        own = {"-".join(cell): text for cell, text in texts.items() if cell[0] == architecture}
        if len(set(own.values())) == 1:
            own = {architecture: next(iter(own.values()))}
        lines += [f"{name} {text}" for name, text in own.items() if text]
    return lines


def _another(prefix: str, ours: Recipe, published: Recipe) -> str:
    """`prefix another …` with the knobs that differ, if any; knobs that `ours` lacks are not compared.

    A validation split by `auto` is the published one: a tenth of the training images.
    """
    ours = {knob: value for knob, value in ours.items() if value != "auto"}
    changed = [knob.replace("_", " ") for knob, value in published.items() if ours.get(knob, value) != value]
    return f"{prefix} another {', '.join(changed)}" if changed else ""


def self_supervision_differences(
    simclr: Recipe | None, supervised: Recipe | None, probe: Recipe | None
) -> list[str]:
    """Phrases, each about one training of part 1.

    The arguments are recipes as result files carry them, None for a training that was not run.
    """
    published = published_recipes()["self_supervision"]
    simclr, supervised = simclr or {}, supervised or {}
    images = {**supervised.get("base_augmentation", {}), **supervised.get("augmentation", {})}
    phrases = [
        _another("SimCLR with", simclr, published["simclr"]),
        _another("supervised training with", supervised, published["supervised"]),
        _another("views with", simclr.get("views", {}), published["views"]),
        _another("supervised images with", images, published["images"]),
    ]
    if probe:
        on_features = probe["protocol"] == "features"
        phrases.append(
            PROBE_ON_FEATURES if on_features else _another("the probe with", probe, published["probe"])
        )
    return list(filter(None, phrases))


def grid_differences(recipes: Mapping[Cell, Recipe]) -> list[str]:
    """Phrases about the grid's recipes, by cell, as result files carry them.

    Architectures and augmentations that the report does not have are left out, with two exceptions: if there
    are no others, and if an architecture has a published name but another network.
    """
    models, published = published_recipes()["models"], published_recipes()["grid"]
    named = {cell: recipe for cell, recipe in recipes.items() if cell[0] in models}
    known = {
        cell: recipe
        for cell, recipe in named.items()
        if recipe["architecture"]["module"] == models[cell[0]]["module"]
    }
    if not known:
        return ["none of the report's networks"]
    trained: dict[Cell, str] = {}
    augmented: dict[Cell, str] = {}
    for cell, recipe in known.items():
        trainings = published["trainings"]
        training = trainings[cell[0]] | trainings.get("-".join(cell), {}) | published["all_trainings"]
        if recipe["schedule"] != training["schedule"]:
            training = {knob: value for knob, value in training.items() if knob not in OF_SCHEDULE}
        # Options of the network are compared like the other knobs of the recipe.
        trained[cell] = _another("trained with", {**recipe["architecture"]["options"], **recipe}, training)
        if cell[1] in published["augmentations"]:  # an augmentation is the same for all architectures
            augmented[cell[1:]] = _another(
                "with", recipe["augmentation"], published["augmentations"][cell[1]]
            )
    base = next(iter(known.values()))["base_augmentation"]  # the same for all cells
    return [
        *dict.fromkeys(f"another network for {cell[0]}" for cell in named if cell not in known),
        *_by_architecture(trained),
        *filter(None, [_another("images with", base, published["base_augmentation"])]),
        *_by_architecture(augmented),
    ]
