"""What happens to the images of a training batch, from the config: every cell's part and its column's."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from triptych.augment.geometry import random_shift_flip_rotate
from triptych.augment.mixing import mix
from triptych.workflow.errors import TriptychError, is_out_of_memory
from triptych.workflow.plugins import check_call, describe_error, user_function

# Loaded by name, so that an edit of one reruns the columns that have it and no others.
POLICIES = ("rand_augment", "random_erasing")
TOLERANCE = 0.01  # of the sum of a row of targets
# (images, targets, generator) -> images, targets
Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def make_augmentation(
    shared: Mapping[str, Any], column: Mapping[str, Any], normalise: Callable[[Tensor], Tensor]
) -> Augment:
    """Build the augmentation of one cell.

    In this order: shift, mirror and rotation; RandAugment; normalisation; random erasing; the
    column's method or the user's own function.

    Args:
        shared: `padding`, `flip`, `degrees`.
        column: `method` and its numbers (see `mix`) or `module` and `options`; with either of them, if
            wanted, `rand_augment` (operations, magnitude) and `random_erasing` (probability).
        normalise: from pixels in 0..1 to what the network sees.

    Returns:
        A function of images (N, 3, H, W) float32 in 0..1, label distributions (N, classes) and a
        generator on their device. It returns normalised images and label distributions.

    Raises:
        TriptychError: there is no such module, it has no `augment`, or it rejects an option.
    """
    own = load_own(column["module"], column["options"]) if "module" in column else None
    policies = {
        name: partial(getattr(importlib.import_module(f"triptych.augment.{name}"), name), **column[name])
        for name in POLICIES
        if name in column
    }

    def augment(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images = random_shift_flip_rotate(images, **shared, generator=generator)
        if "rand_augment" in policies:
            images = policies["rand_augment"](images, generator=generator)
        images = normalise(images)
        if "random_erasing" in policies:
            images = policies["random_erasing"](images, generator=generator)
        return mix(images, targets, column, generator) if own is None else own(images, targets, generator)

    return augment


def load_own(module: str, options: Mapping[str, Any]) -> Augment:
    """The user's `augment(images, targets, *, generator, **options)`, whose results are checked.

    Raises:
        TriptychError: see `make_augmentation`; when called: it fails, or the results are not two tensors in
            the shapes of the arguments; when called first: the targets are no distributions.
    """
    label = f"augmentation module '{module}'"
    usage = "augment(images, targets, *, generator, ...)"
    function = user_function("augmentation", module, "augment", usage)
    check_call(f"{label}: augment", function, None, None, generator=None, options=options)
    tried = False

    def own(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        nonlocal tried
        given = [images.shape, targets.shape]
        try:
            result = function(images, targets, generator=generator, **options)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise TriptychError(f"{label}: augment fails: {describe_error(error)}") from error
        pair = isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result)
        if not pair or [part.shape for part in result] != given:
            shapes = [tuple(part.shape) for part in result] if pair else type(result).__name__
            raise TriptychError(
                f"{label}: augment must return images and targets in the shapes that "
                f"it was given, {[tuple(shape) for shape in given]}; it returned {shapes}"
            )
        images, targets = result
        if not tried and not _are_distributions(targets):  # asked once: an answer waits for the device
            raise TriptychError(
                f"{label}: augment must return targets that are distributions, one a row: numbers from 0 "
                "that sum to 1"
            )
        tried = True
        return images, targets

    return own


def _are_distributions(targets: Tensor) -> bool:
    sums = targets.float().sum(dim=1)
    return bool((targets >= 0).all() & ((sums - 1).abs() < TOLERANCE).all())
