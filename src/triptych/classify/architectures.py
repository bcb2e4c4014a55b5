"""Networks by the module that builds them: the library's and the user's."""

import importlib
import inspect
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from triptych.run.errors import TriptychError


def build_model(module: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """Build an architecture: any module with `build(num_classes, image_size, **options)`.

    Returns:
        The classifier, on the CPU: (N, 3, `image_size`, `image_size`) images to (N, `num_classes`) logits.

    Raises:
        TriptychError: there is no such module, it has no `build`, it rejects an option or fails, or what it
            returns is no such classifier.
    """
    name = f"architecture module '{module}'"
    try:
        build = importlib.import_module(module).build
    except (ImportError, AttributeError) as error:
        raise TriptychError(
            f"{name}: {error}; name a module with build(num_classes, image_size, ...)"
        ) from error
    try:
        inspect.signature(build).bind(num_classes, image_size, **options)
    except TypeError as error:
        raise TriptychError(f"{name}: build: {error}; check the options in the config") from error
    try:
        model = build(num_classes, image_size, **options)
    except TriptychError:
        raise
    except Exception as error:
        raise TriptychError(f"{name}: build fails with options {dict(options)}: {_told(error)}") from error
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
            f"{name}: its network fails on images of {image_size} x {image_size} pixels: {_told(error)}"
        ) from error
    model.train(training)
    shape = getattr(logits, "shape", None)
    if shape != (2, num_classes):
        found = type(logits).__name__ if shape is None else f"shape {tuple(shape)}"
        raise TriptychError(
            f"{name}: its network must turn 2 images into logits of shape {(2, num_classes)}; "
            f"it returns {found}"
        )


def _told(error: Exception) -> str:
    """The error and the line that raised it: it may be the user's own."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    reason = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {reason} ({Path(last.filename).name}, line {last.lineno})"
