"""Knobs of every training of a network, by gradient descent on images."""

from typing import Annotated, Any, Literal

from pydantic import Field

from triptych.config.knobs import (
    AutoPositive,
    Device,
    Fraction,
    Integer,
    Natural,
    Number,
    Precision,
    Section,
    Switch,
    knob,
)

# Of these, some sections have a default of their own.
Epochs = Annotated[Integer, Field(ge=1, description="passes over the training images")]
LearningRate = Annotated[Number, Field(gt=0, description="peak learning rate")]
AUTO: Any = "auto"
Validation = Annotated[
    AutoPositive,
    Field(description="training images held out for validation; auto: a tenth, at least one of each class"),
]
Nesterov = Annotated[Switch, Field(description="Nesterov momentum, for sgd and lars; muon always has it")]


class Training(Section):
    """How a network is trained. Every recipe below has these knobs."""

    epochs: Epochs = 100
    batch_size: Integer = knob(128, "images per step, over all workers", ge=2)
    accumulate: Integer = knob(
        1, "micro-batches per batch, to save memory; NT-Xent compares within a micro-batch", ge=1, le=1024
    )
    optimizer: Literal["sgd", "adam", "adamw", "lars", "muon"] = knob(
        "sgd", "sgd | adam (L2) | adamw (decoupled) | lars (large batches) | muon (orthogonalized steps)"
    )
    learning_rate: LearningRate = 0.1
    adam_learning_rate: Number | None = knob(
        None, "muon: rate of AdamW for parameters that are not orthogonalized; null: SGD for those", gt=0
    )
    momentum: Number = knob(0.9, "momentum of sgd, lars and muon", ge=0, lt=1)
    nesterov: Nesterov = False
    weight_decay: Number = knob(0.0005, "L2 penalty or decoupled decay, depending on the optimizer", ge=0)
    decay_biases: Switch = knob(True, "whether weight_decay applies to biases, norms and embeddings")
    clip_norm: Number | None = knob(None, "maximum norm of the gradient; null: no clipping", gt=0)
    ema: Number = knob(
        0, "decay per step of the averaged weights, which are evaluated and saved; 0: no average", ge=0, lt=1
    )
    schedule: Literal["constant", "cosine", "one_cycle", "step"] = knob(
        "cosine", "constant | cosine | one_cycle (linear up and down) | step (times gamma at each milestone)"
    )
    min_lr_ratio: Fraction = knob(0, "final rate of cosine and one_cycle, as a fraction of learning_rate")
    schedule_epochs: Integer | None = knob(
        None, "epochs after which cosine and one_cycle reach their final rate; null: epochs", ge=1
    )
    milestones: list[Annotated[Number, Field(ge=0)]] = knob([], "schedule step: epochs, counted from 0")
    gamma: Number = knob(0.2, "schedule step: factor of the learning rate at each milestone", gt=0, le=1)
    warmup_epochs: Number = knob(0, "epochs of linear warm-up from 0", ge=0)
    warmup_peak: Number = knob(1, "rate at the end of the warm-up, as a multiple of learning_rate", ge=1)
    device: Device = "auto"
    precision: Precision = "auto"
    compile: Switch = knob(
        False, "torch.compile; without a compiler, training continues uncompiled, with a message"
    )
    gpus: Integer = knob(1, "data-parallel workers, one GPU each", ge=1, le=1024)


class LabelledTraining(Training):
    """A training with labels."""

    label_smoothing: Number = knob(0, "weight of the uniform distribution in the targets", ge=0, lt=1)
    class_weights: Literal["balanced"] | None = knob(
        None,
        "balanced: every class has the same weight in the loss, however few its images; null: every image",
    )


class BaseAugmentation(Section):
    """Random shift, flip and rotation of every training image."""

    padding: Natural = knob(4, "maximum shift, in pixels")
    flip: Fraction = knob(0.5, "probability of a horizontal flip")
    degrees: Number = knob(0, "maximum rotation in degrees, either way", ge=0, le=180)
