"""The augmentation of a training batch: the base of all trainings, then what the recipe adds."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from triptych.augment.geometry import random_geometry
from triptych.augment.mixing import mix
from triptych.workflow.errors import TriptychError, is_out_of_memory
from triptych.workflow.plugins import check_call, describe_error, user_function

# Loaded by name, so that an edit of one reruns the trainings that use it and no others.
POLICIES = ("rand_augment", "random_erasing")
TOLERANCE = 0.01  # allowed deviation of a target's sum from 1
# (images, targets, generator) -> images, targets
Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def make_augmentation(
    base: Mapping[str, Any],
    augmentation: Mapping[str, Any],
    normalise: Callable[[Tensor], Tensor],
    size: int | None = None,
) -> Augment:
    """Build the augmentation of a training.

    In this order: shift or crop, flip and rotation; RandAugment; normalisation; random erasing; the method,
    or the function of a user's module.

    Args:
        augmentation: `method` and its parameters (see `mix`) or `module` and `options`; with either of them,
            optionally, `rand_augment` (operations, magnitude) and `random_erasing` (probability).
        normalise: function from pixels in 0..1 to the network's inputs.
        size: side of the network's images in pixels; None: that of the images, which may be larger.

    Returns:
        A function of images (N, 3, H, W) float32 in 0..1, label distributions (N, classes) and a generator on
        their device to both, the images normalised. Raises as `load_user_function` does.
    """
    module = augmentation.get("module")
    function = load_user_function(module, augmentation["options"]) if module else None
    policies = {
        name: partial(
            getattr(importlib.import_module(f"triptych.augment.{name}"), name), **augmentation[name]
        )
        for name in POLICIES
        if name in augmentation
    }

    def augment(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images = random_geometry(images, **base, size=size, generator=generator)
        if "rand_augment" in policies:
            images = policies["rand_augment"](images, generator=generator)
        images = normalise(images)
        if "random_erasing" in policies:
            images = policies["random_erasing"](images, generator=generator)
        if function is not None:
            return function(images, targets, generator)
        return mix(images, targets, augmentation, generator)

    return augment


def load_user_function(module: str, options: Mapping[str, Any]) -> Augment:
    """The module's `augment(images, targets, *, generator, **options)`, whose results are checked.

    Raises:
        TriptychError: see `make_augmentation`; when called: it fails, or the results are not two tensors in
            the shapes of the arguments; at the first call: the targets are no distributions.
    """
    label = f"augmentation module '{module}'"
    usage = "augment(images, targets, *, generator, ...)"
    function = user_function("augmentation", module, "augment", usage)
    check_call(f"{label}: augment", function, None, None, generator=None, options=options)
    checked = False

    def augment(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        nonlocal checked
        shapes = [images.shape, targets.shape]
        try:
            result = function(images, targets, generator=generator, **options)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise TriptychError(f"{label}: augment fails: {describe_error(error)}") from error
        pair = isinstance(result, tuple | list) and all(isinstance(part, Tensor) for part in result)
        if not pair or [part.shape for part in result] != shapes:
            found = [tuple(part.shape) for part in result] if pair else type(result).__name__
            raise TriptychError(
                f"{label}: augment must return images and targets in the shapes that "
                f"it was given, {[tuple(shape) for shape in shapes]}; it returned {found}"
            )
        images, targets = result
        if not checked and not _are_distributions(targets):  # once, because it waits for the device
            raise TriptychError(
                f"{label}: augment must return targets that are distributions, one per row: numbers from 0 "
                "that sum to 1"
            )
        checked = True
        return images, targets

    return augment


def _are_distributions(targets: Tensor) -> bool:
    sums = targets.float().sum(dim=1)
    return bool((targets >= 0).all() & ((sums - 1).abs() < TOLERANCE).all())
