"""Knobs of part 2: architectures, augmentations, and the grid of both."""

from collections.abc import Mapping
from typing import Annotated, Literal

from triptych.config.knobs import (
    ONLY_GIVEN,
    UNIQUE,
    Fraction,
    Integer,
    ModuleName,
    Name,
    Names,
    Number,
    Options,
    Positive,
    Section,
    Seeds,
    Switch,
    Text,
    Title,
    knob,
)
from triptych.config.training import AUTO, BaseAugmentation, LabelledTraining, Validation


class Method(Section):
    """The knob of every method."""

    probability: Fraction = knob(1.0, "fraction of the images that mixup, cutout or cutmix changes")


class Mixup(Method):
    """Blends two images and their labels (Zhang et al. 2018)."""

    alpha: Number = knob(0.4, "mixup, cutmix: the mixing weight is drawn from Beta(alpha, alpha)", gt=0)
    per_batch: Switch = knob(
        False, "mixup, cutmix: one mixing weight, box and permutation for all images of a batch"
    )


class CutMix(Mixup):
    """Pastes a box of another image (Yun et al. 2019)."""


class Cutout(Method):
    """Blanks a square (DeVries and Taylor 2017)."""

    size: Positive | None = knob(
        None, "cutout: side of the square, in pixels; null: a quarter of the image's side"
    )


METHODS: Mapping[str, type[Section]] = {"none": Section, "mixup": Mixup, "cutout": Cutout, "cutmix": CutMix}


class RandAugment(Section):
    """Random operations on colour and geometry (Cubuk et al. 2020)."""

    operations: Integer = knob(2, "operations on each image", ge=1, le=14)
    magnitude: Number = knob(9, "strength of each operation", ge=0, le=30)


class RandomErasing(Section):
    """A rectangle of noise (Zhong et al. 2020)."""

    probability: Fraction = knob(0.25, "fraction of the images with a rectangle of noise")


class Policies(Section):
    """Augmentations that go with any method; each is the module of this name in `triptych.augment`."""

    rand_augment: RandAugment | None = knob(None, "applied before the method; null: none")
    random_erasing: RandomErasing | None = knob(None, "applied before the method; null: none")


class Augmentation(Cutout, CutMix, Policies):
    """An augmentation: a column of the grid.

    Either `method` with its knobs or `module` with its options. Knobs of other methods are allowed beside
    a method, since a preset may choose another one.
    """

    title: Title = knob("", "title in tables and figures; empty: the name")
    method: Literal["none", "mixup", "cutout", "cutmix"] | None = knob(None, "the transformation of a batch")
    module: ModuleName | None = knob(
        None, "module under src/ with augment(images, targets, *, generator, **options)"
    )
    options: Options = knob({}, "options of the module's augment")

    def _contradiction(self) -> str | None:
        if (self.method is None) == (self.module is None):
            what = "neither" if self.method is None else "both"
            return f" has {what} of the keys 'method' and 'module'; give one of them"
        if self.method is not None and self.options:
            return ".options are for a 'module'; leave them out"
        unread = sorted(self.model_fields_set & {*Mixup.model_fields, *Cutout.model_fields})
        if self.module is not None and unread:
            return f".{unread[0]} is not read, as it has a module; put it under options if augment takes it"
        return None


class Recipe(LabelledTraining):
    """How an architecture is trained."""

    options: Options = knob({}, "changes to the network, added to the architecture's options")


class Architecture(Section):
    """An architecture: a row of the grid."""

    title: Title = knob("", "title in tables and figures; empty: the name")
    module: ModuleName = knob(..., "module under src/ with build(num_classes, image_size, **options)")
    options: Options = knob({}, "options of the module's build")
    attention: Switch = knob(False, "draw a figure of what its class token attends to")
    recipes: dict[Name, Recipe] = knob({}, "families of recipes by name; {}: the defaults")


class Grid(Section):
    """Part 2: every architecture is trained with every augmentation."""

    dataset: Text = knob("cifar100", "a name under datasets")
    seeds: Seeds = knob([0, 1, 2], "every cell is trained once per seed")
    validation: Validation = AUTO
    recipe: Name = knob("modern", "modern | report, or a family of your own under architectures.*.recipes")
    architectures: Names = knob(["resnet18", "vit"], "rows: names under architectures")
    augmentations: Names = knob(
        ["baseline", "mixup", "cutout", "cutmix"], "columns: names under augmentations"
    )
    base_augmentation: BaseAugmentation = BaseAugmentation()
    cells: dict[str, Annotated[Recipe, ONLY_GIVEN]] = knob(
        {}, "changes to the recipes of single cells, such as {vit-mixup: {epochs: 200}}"
    )
    subsets: dict[Name, Positive] = knob(
        {}, "data sets with a part of the training images, for the baselines as well: times the epochs"
    )
    leave_out: Annotated[list[Text], UNIQUE] = knob(
        [], "cells that are not trained, such as [vit-mixup]; the tables say so"
    )
