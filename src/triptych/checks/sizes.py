"""The sizes that a study asks for, compared with its data before anything trains."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.config.knobs import MIN_SIDE
from triptych.config.sizes import sizes_of
from triptych.data.packed import PackedDataset
from triptych.ssl.knn_evaluation import MAX_K, neighbours
from triptych.ssl.label_fraction import LABELLED, labelled
from triptych.training.batches import batch_size
from triptych.workflow.errors import TriptychError

MIN_POINTS = 4  # images: fewer have no map
NAMED = 5  # most classes in a message


@dataclass(frozen=True)
class Training:
    """A training of a network.

    Attributes:
        place: where its recipe is in the config.
        recipe: its settings.
        batch: images of an optimizer step.
        architecture: `module` and `options`, and the name under `architectures`, `name`; None: a linear
            layer.
        encoder: whether the network is trained without its classifier.
        views: inputs of the network for each image.
    """

    place: str
    recipe: Mapping[str, Any]
    batch: int
    architecture: Mapping[str, Any] | None
    encoder: bool = False
    views: int = 1


@dataclass
class SizeChecks:
    """The checks of everything that uses one data set.

    Attributes:
        dataset: the data set.
        problems: what cannot be run: one line each, with the full key and a value that would do.
        notes: by part, what `auto` means for these images, and what is run otherwise than the config says, as
            there are few.
        trainings: the trainings that can be run.
    """

    dataset: PackedDataset
    problems: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    trainings: list[Training] = field(default_factory=list)

    def check_self_supervision(self, learning: Mapping[str, Any]) -> None:
        """Check part 1: `architecture` (see `Training`) and the sizes of the config's `self_supervision`."""
        self.notes["self_supervision"] = []
        place, labels, network = "self_supervision", self.dataset.train_labels, learning["architecture"]
        simclr, probe, supervised = learning["simclr"], learning["probe"], learning["supervised"]
        views = simclr["views"]["count"]
        self._check_training(f"{place}.simclr", simclr, len(labels), network, encoder=True, views=views)
        self._check_views(f"{place}.simclr.progressive_resizing", simclr["progressive_resizing"])
        self._check_map(f"{place}.feature_map", learning["feature_map"])
        if not self.dataset.labelled:
            return
        kept = self._check_validation(f"{place}.probe", probe["validation"])
        if probe["protocol"] == "report":
            self._check_training(f"{place}.probe", probe, kept, None)
        kept = self._check_validation(f"{place}.supervised", supervised["validation"])
        self._check_training(f"{place}.supervised", supervised, kept, network)
        fraction = learning["label_fraction"]
        self._check_labels(f"{place}.label_fraction", fraction["percents"], labels, fraction["folds"])
        tuning = learning["fine_tune"]
        if tuning["percents"] and self._check_validation(f"{place}.fine_tune", tuning["validation"]):
            labels = labels[self.dataset.validation_split(tuning["validation"])[0]]
            self._check_labels(f"{place}.fine_tune", tuning["percents"], labels, 0)
            fewest = len(labelled(labels, min(tuning["percents"])))
            self._check_training(f"{place}.fine_tune", tuning, fewest, network)
        self._check_neighbours(f"{place}.knn", learning["knn"]["k"])

    def check_grid(self, grid: Mapping[str, Any]) -> None:
        """Check part 2: `validation` and `cells`, each with `place`, `architecture` and `recipe`."""
        self.notes["grid"] = []
        kept = self._check_validation("grid", grid["validation"])
        for cell in grid["cells"]:
            self._check_training(cell["place"], cell["recipe"], kept, cell["architecture"])

    def _check_validation(self, place: str, validation: Any) -> int:
        """The number of images that are left to train on; 0 if there is no such split."""
        labels = self.dataset.train_labels
        total, classes = len(labels), len(np.unique(labels))
        if self.dataset.validation:
            if validation != "auto":
                self._note(f"{place}.validation is not used: the data set has validation images of its own")
        elif validation != "auto" and validation > total - classes:
            self._problem(
                f"{place}.validation is {validation}, but there are {total:,} training images of {classes:,} "
                "classes; set it to auto, which is a tenth"
            )
            return 0
        kept, held_out = (labels[indices] for indices in self.dataset.validation_split(validation))
        if not len(held_out):
            self._problem(
                f"datasets.{self.dataset.name}: no class has two training images, of which one can be held "
                "out for validation; add images"
            )
        elif validation == "auto" and not self.dataset.validation:
            self._note(f"validation: auto holds out {len(held_out):,} of {total:,} training images")
        if lost := self._lacking(labels, 1):
            self._problem(
                f"datasets.{self.dataset.name}.train_size leaves no training image of {lost}; raise it"
            )
        elif lost := self._lacking(kept, 1):
            self._problem(f"{place}.validation is {validation} and leaves no image of {lost}; set it to auto")
        if lost := self._lacking(held_out, 1):
            self._note(f"{place}.validation is {validation}: there are no validation images of {lost}")
        return len(kept)

    def _check_training(
        self,
        place: str,
        recipe: Mapping[str, Any],
        images: int,
        architecture: Mapping[str, Any] | None,
        *,
        encoder: bool = False,
        views: int = 1,
    ) -> None:
        """Check the batch of a training on a number of images, which is 0 if its split is impossible."""
        batch, least = batch_size(recipe, images), 2 * recipe["accumulate"] * recipe["gpus"]
        if images == 0:  # its network is tried all the same
            batch = recipe["batch_size"]
        elif batch < least:
            self._problem(
                f"{place}: there are {images} images to train on, but accumulate: {recipe['accumulate']} and "
                f"gpus: {recipe['gpus']} need {least}; lower them or add images"
            )
        elif batch < recipe["batch_size"]:
            self._note(
                f"{place}.batch_size is {recipe['batch_size']}, but there are {images} images to train on: "
                f"it is lowered to {batch}"
            )
        self.trainings.append(Training(place, recipe, batch, architecture, encoder, views))

    def _check_views(self, place: str, stages: Sequence[Mapping[str, Any]]) -> None:
        side = self.dataset.image_size[0]
        smallest = min((stage["size"] for stage in stages), default=side)
        if smallest < MIN_SIDE:
            self._problem(
                f"{place} has views of {smallest} pixels, of images of {side}, but views need {MIN_SIDE}; "
                f"set scale to {math.ceil(100 * MIN_SIDE / side) / 100:g} or more"
            )

    def _check_labels(self, place: str, percents: list[float], labels: NDArray[np.int64], folds: int) -> None:
        if percents and (lost := self._lacking(labels, LABELLED)):
            self._problem(
                f"{place}.percents needs at least {LABELLED} training images of each class, which "
                f"{lost} lacks; add images, or set it to []"
            )
            return
        for percent in percents:
            asked, chosen = round(len(labels) * percent / 100), labelled(labels, percent)
            if len(chosen) > asked:
                self._note(
                    f"{place}.percents: {percent:g} % of the labels are {asked}; {len(chosen)} are used, at "
                    f"least {LABELLED} of each class"
                )
            fewest = int(np.unique(chosen, return_counts=True)[1].min())
            if fewest < folds:
                self._note(
                    f"{place}.folds is {folds}, but with {percent:g} % of the labels the rarest class has "
                    f"{fewest}: there are {fewest} folds"
                )

    def _check_neighbours(self, place: str, k: Any) -> None:
        images = len(self.dataset.train_labels)
        if k == "auto" and (fewer := neighbours(images)) < MAX_K:
            self._note(f"{place}.k is auto: {fewer} of {images:,} training images vote")
        elif k != "auto" and k > images:
            self._note(f"{place}.k is {k}, more than there are training images: all of them vote; try auto")

    def _check_map(self, place: str, recipe: Mapping[str, Any]) -> None:
        """Of test images; of images without labels all are training images."""
        kind, labels = "training", self.dataset.train_labels
        if self.dataset.labelled:
            kind, labels = "test", self.dataset.test_labels
        if len(labels) < MIN_POINTS:
            self._problem(
                f"{place} needs {MIN_POINTS} {kind} images, but the data set has {len(labels)}; add some"
            )
        points = min(len(labels), recipe["points"])
        if recipe["perplexity"] > (points - 1) / 3:
            self._note(
                f"{place}.perplexity is {recipe['perplexity']:g}, too many for {points} points: it is "
                f"lowered to {(points - 1) / 3:.3g}"
            )

    def _lacking(self, labels: NDArray[np.int64], count: int) -> str:
        """Names of the classes with fewer labels than `count`; empty if there are none."""
        found = np.bincount(labels, minlength=len(self.dataset.classes))
        names = [name for name, n in zip(self.dataset.classes, found, strict=True) if n < count]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return ", ".join(f"'{name}'" for name in names[:NAMED]) + more

    def _problem(self, text: str) -> None:
        self.problems.append(f"config: {text}")

    def _note(self, text: str) -> None:
        notes = list(self.notes.values())[-1]  # of the part that is being checked
        if text not in notes:
            notes.append(text)


def check_sizes(dataset: PackedDataset, sizes: Mapping[str, Any]) -> SizeChecks:
    """Check all parts; `sizes` as `triptych.config.sizes.sizes_of` returns them."""
    checks = SizeChecks(dataset)
    if "self_supervision" in sizes:
        checks.check_self_supervision(sizes["self_supervision"])
    if "grid" in sizes:
        checks.check_grid(sizes["grid"])
    return checks


def refuse_misfits(dataset: PackedDataset, config: Mapping[str, Any]) -> None:
    """Stop a training if anything in the whole study does not fit the data set.

    Scripts load this by name, so that an edit of it makes no result stale.

    Raises:
        TriptychError: all problems, one a line.
    """
    if problems := check_sizes(dataset, sizes_of(config, dataset.name)).problems:
        raise TriptychError("\n".join(dict.fromkeys(problems)))
