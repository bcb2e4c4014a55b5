"""Knobs of part 1: SimCLR, evaluations of its encoder, and the supervised comparison."""

import math
from typing import Annotated, Literal

from pydantic import Field

from triptych.config.knobs import (
    AS_LIST,
    UNIQUE,
    AutoPositive,
    Fraction,
    Integer,
    Name,
    Number,
    Positive,
    Section,
    Seeds,
    Switch,
    Text,
    knob,
)
from triptych.config.training import (
    AUTO,
    BaseAugmentation,
    Epochs,
    LabelledTraining,
    LearningRate,
    Nesterov,
    Training,
    Validation,
)

Scale = Annotated[Number, Field(gt=0, le=1)]
Strength = Annotated[Number, Field(ge=0)]
Percents = Annotated[list[Annotated[Number, Field(ge=0.01, le=100)]], UNIQUE]


class Views(Section):
    """How the views of an image are drawn."""

    count: Integer = knob(2, "views per image; NT-Xent compares all views of a batch", ge=2, le=16)
    crop_scale: Annotated[tuple[Scale, Scale], AS_LIST] = knob(
        [0.08, 1.0], "minimum and maximum area of a crop, as a fraction of the image"
    )
    jitter: Annotated[
        tuple[Strength, Strength, Strength, Annotated[Number, Field(ge=0, le=0.5)]], AS_LIST
    ] = knob([0.4, 0.4, 0.4, 0.1], "strengths of the jitter of brightness, contrast, saturation and hue")
    jitter_probability: Fraction = knob(0.8, "probability of the jitter")
    grayscale_probability: Fraction = knob(0.2, "probability of conversion to grayscale")
    blur_probability: Fraction = knob(
        0.5, "probability of Gaussian blur; the report describes it, but its runs had none (0)"
    )

    def _contradiction(self) -> str | None:
        low, high = self.crop_scale
        return f".crop_scale is [{low}, {high}]; the smaller share comes first" if low > high else None


class ResizingStage(Section):
    """A stage of the training, with views of one size."""

    share: Number = knob(..., "fraction of the steps; all stages add up to 1", gt=0)
    scale: Number = knob(..., "side of the views, as a fraction of the data set's image_size", gt=0, le=2)


class SimCLR(Training):
    """SimCLR's pretraining of the encoder (Chen et al. 2020)."""

    width: Integer | None = knob(
        None, "resnet18: channels of its first stage in part 1; null: as under architectures", ge=8
    )
    head_hidden: Positive = knob(512, "hidden units of the projection head")
    head_out: Positive = knob(128, "outputs of the projection head")
    head_norm: Switch = knob(False, "batch norm in the projection head")
    temperature: Number = knob(0.5, "temperature of NT-Xent", gt=0)
    batch_norm_per_view: Switch = knob(
        False, "one forward pass for each view, so that batch norm sees one view at a time"
    )
    decoupled: Switch = knob(False, "decoupled contrastive loss (DCL): no positive pair in the denominator")
    minutes: Number | None = knob(
        None,
        "time budget, instead of epochs: as many epochs as fit at the measured speed of this machine",
        gt=0,
    )
    monitor_every: Positive = knob(5, "epochs between two kNN evaluations on training images")
    progressive_resizing: list[ResizingStage] = knob(
        [],
        "train on smaller views first: [{share: 0.8, scale: 0.5}, {share: 0.2, scale: 1}], shares of steps",
    )
    views: Views = Views()

    def _contradiction(self) -> str | None:
        shares = [stage.share for stage in self.progressive_resizing]
        if shares and not math.isclose(sum(shares), 1):
            return (
                f".progressive_resizing has the shares {', '.join(map(str, shares))}, "
                f"{sum(shares):g} in all; they must add up to 1"
            )
        for conflict, measured, setting in (
            (self.gpus > 1, "one device", "gpus above 1"),
            (self.compile, "an uncompiled model", "compile: true"),
        ):
            if self.minutes is not None and conflict:
                return (
                    f".minutes is laid out over the speed of {measured}; with {setting} set minutes: null "
                    "and give epochs"
                )
        return None


class WeightDecays(Section):
    """The weight decays that are tried, evenly spaced on a logarithmic scale."""

    min: Number = knob(0.00001, "the smallest", gt=0)
    max: Number = knob(1.0, "the largest", gt=0)
    count: Positive = knob(11, "number of values")

    def _contradiction(self) -> str | None:
        if self.min > self.max:
            return f" has min {self.min} and max {self.max}; min must not be greater"
        return None


class Probe(Training):
    """Linear evaluation on the frozen encoder."""

    protocol: Literal["features", "report"] = knob(
        "features", "features: optimum on precomputed features | report: SGD on crops and flips"
    )
    validation: Validation = AUTO
    weight_decays: WeightDecays = WeightDecays()
    learning_rate: LearningRate = 0.05


class KNN(Section):
    """k nearest neighbours: training images vote on the class of a test image (Wu et al. 2018)."""

    k: AutoPositive = knob(
        AUTO, "number of neighbours; auto: the square root of the number of training images, at most 200"
    )
    temperature: Number = knob(0.1, "temperature of the votes' weights, exp(similarity / temperature)", gt=0)


class LabelFraction(Section):
    """Linear evaluation with the labels of a fraction of the training images."""

    percents: Percents = knob([1, 10], "percentages of the labels; []: none")
    folds: Integer = knob(5, "folds of the cross-validation that chooses the weight decay", ge=2)
    weight_decays: WeightDecays = WeightDecays()


class FeatureMap(Section):
    """A figure of the test images' features: t-SNE."""

    points: Integer = knob(1000, "number of test images", ge=4)
    perplexity: Number = knob(30, "effective number of neighbours", ge=1)


class FineTune(LabelledTraining):
    """Training of the pretrained encoder with labels."""

    percents: Percents = knob([], "percentages of the labels, such as [1, 10, 100]; []: no fine-tuning")
    validation: Validation = AUTO
    base_augmentation: BaseAugmentation = BaseAugmentation()
    epochs: Epochs = 30
    learning_rate: LearningRate = 0.02
    nesterov: Nesterov = True


class Supervised(LabelledTraining):
    """The same network trained from scratch with labels."""

    validation: Validation = AUTO
    base_augmentation: BaseAugmentation = BaseAugmentation()
    augmentation: Text | None = knob(None, "one of `augmentations`, such as cutout; null: none")


class SelfSupervision(Section):
    """Part 1: self-supervision."""

    dataset: Text = knob("cifar10", "a name under datasets")
    architecture: Name = knob("resnet18", "the encoder: a name under architectures")
    seeds: Seeds = knob([0, 1, 2], "all of part 1 runs once per seed")
    simclr: SimCLR = SimCLR()
    probe: Probe = Probe()
    knn: KNN = KNN()
    label_fraction: LabelFraction = LabelFraction()
    feature_map: FeatureMap = FeatureMap()
    fine_tune: FineTune = FineTune()
    supervised: Supervised = Supervised()
