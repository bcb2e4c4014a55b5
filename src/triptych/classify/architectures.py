"""Networks built by the name of their module, the project's or a user's."""

import inspect
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from triptych.workflow.errors import TriptychError, is_out_of_memory
from triptych.workflow.plugins import check_call, describe_error, user_function

LOGITS = "logits"


def build_model(module: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """Build an architecture: any module with `build(num_classes, image_size, **options)`.

    A network for images of any size may leave `image_size` out of `build`. The network, on the CPU, turns (N,
    3, `image_size`, `image_size`) images into (N, `num_classes`) logits; it is tried on two images, also in
    training mode with a backward pass. Raises `TriptychError` if there is no such module, it has no `build`,
    it rejects an option or fails, or its result is not such a classifier or has nothing to train.
    """
    model = call_build(module, num_classes, image_size, options)
    name = f"architecture module '{module}'"
    _check_shape(try_network(model, name, image_size), num_classes, name, LOGITS)
    try_training(model, name, image_size, num_classes)
    return model


def call_build(module: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """The module's network, not tried. Raises `TriptychError` as `build_model` does."""
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
    return model


def try_network(model: nn.Module, name: str, image_size: int) -> Any:
    """What a network in eval mode returns for two black images. Raises `TriptychError` if it fails."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng([]):
            found = model(torch.zeros(2, 3, image_size, image_size))
    except Exception as error:
        _blame(name, image_size, "", error)
    model.train(training)
    return found


def try_training(model: nn.Module, name: str, image_size: int, outputs: int, kind: str = LOGITS) -> None:
    """Run a network on two random images in training mode, forward and backward.

    Weights, buffers, gradients and random numbers are afterwards as before. Raises `TriptychError` if it
    fails, does not return (2, `outputs`), or has no weights to train; `kind` says what the outputs are.
    """
    training, buffers = model.training, [buffer.clone() for buffer in model.buffers()]
    model.train()
    with torch.random.fork_rng([]), torch.enable_grad():
        torch.manual_seed(0)
        try:
            found = model(torch.rand(2, 3, image_size, image_size))
        except Exception as error:
            _blame(name, image_size, " while it trains", error)
        _check_shape(found, outputs, name, kind, "while it trains ")
        if not (found.requires_grad and any(p.requires_grad for p in model.parameters())):
            raise TriptychError(f"{name}: its network has nothing to train: no weight with requires_grad")
        try:
            found.float().square().mean().backward()
        except Exception as error:
            _blame(name, image_size, " in the backward pass", error)
    with torch.no_grad():
        for buffer, saved in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(saved)
    model.zero_grad(set_to_none=True)
    model.train(training)


def _blame(name: str, image_size: int, when: str, error: Exception) -> NoReturn:
    if is_out_of_memory(error):
        raise error
    raise TriptychError(
        f"{name}: its network fails{when} on images of {image_size} x {image_size} pixels: "
        f"{describe_error(error)}"
    ) from error


def _check_shape(found: Any, outputs: int, name: str, kind: str, when: str = "") -> None:
    shape = tuple(found.shape) if isinstance(found, Tensor) else None
    if shape == (2, outputs):
        return
    what = type(found).__name__ if shape is None else f"shape {shape}"
    if hasattr(found, "_fields"):  # a named tuple
        what += "; switch off its auxiliary outputs (of torchvision's networks: aux_logits=False)"
    raise TriptychError(
        f"{name}: its network must turn 2 images into {kind} of shape {(2, outputs)}; {when}it returns {what}"
    )
