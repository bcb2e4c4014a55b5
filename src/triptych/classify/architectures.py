"""Networks built by the name of their module, the project's or a user's."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from triptych.workflow.errors import TriptychError
from triptych.workflow.plugins import check_call, describe_error, user_function


def build_model(module: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """Build an architecture: any module with `build(num_classes, image_size, **options)`.

    A network for images of any size may leave `image_size` out of `build`.

    Returns:
        The classifier, on the CPU: (N, 3, `image_size`, `image_size`) images to (N, `num_classes`) logits.

    Raises:
        TriptychError: there is no such module, it has no `build`, it rejects an option or fails, or its
            result is not such a classifier.
    """
    name = f"architecture module '{module}'"
    build = user_function("architecture", module, "build", "build(num_classes, image_size, ...)")
    arguments = [num_classes, image_size]
    if "image_size" not in inspect.signature(build).parameters:
        arguments.pop()
    check_call(f"{name}: build", build, *arguments, options=options)
    try:
        model = build(*arguments, **options)
    except TriptychError:
        raise
    except Exception as error:
        raise TriptychError(
            f"{name}: build fails with options {dict(options)}: {describe_error(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise TriptychError(f"{name}: build must return a torch module, not {type(model).__name__}")
    _try(model, name, num_classes, image_size)
    return model


def _try(model: nn.Module, name: str, num_classes: int, image_size: int) -> None:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(torch.zeros(2, 3, image_size, image_size))
    except Exception as error:
        raise TriptychError(
            f"{name}: its network fails on images of {image_size} x {image_size} pixels: "
            f"{describe_error(error)}"
        ) from error
    model.train(training)
    shape = getattr(logits, "shape", None)
    if shape != (2, num_classes):
        found = type(logits).__name__ if shape is None else f"shape {tuple(shape)}"
        raise TriptychError(
            f"{name}: its network must turn 2 images into logits of shape {(2, num_classes)}; "
            f"it returns {found}"
        )
