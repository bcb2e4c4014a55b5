"""An architecture of the config without its classifier: images to feature vectors."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from triptych.classify.architectures import call_build, try_network, try_training
from triptych.workflow.errors import TriptychError

CLASSES = 97  # of a classifier that is built only to take its last layer away


def build_encoder(architecture: Mapping[str, Any], image_size: int) -> tuple[nn.Module, int]:
    """The encoder of an architecture, (N, 3, `image_size`, `image_size`) to (N, features), and that number.

    It is what the module's `build` returns for 0 classes, as in timm. If that is not a vector for each image,
    the last linear layer is taken away from a classifier, as is usual with torchvision's networks. Raises
    `TriptychError` if it cannot be built, has no such features, fails, or has nothing to train.
    """
    module, options = architecture["module"], architecture["options"]
    name = f"architecture module '{module}'"
    encoder = _without_classes(module, image_size, options) or _without_last_layer(
        module, image_size, options
    )
    found = try_network(encoder, name, image_size)
    if not _is_features(found):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise TriptychError(
            f"{name}: as an encoder its network must turn 2 images into features of shape (2, number); it "
            f"returns {shape}; let build(0, ...) return such a network"
        )
    features = int(found.shape[1])
    try_training(encoder, name, image_size, features, "features")
    return encoder, features


def _is_features(found: Any) -> bool:
    return isinstance(found, Tensor) and found.ndim == 2 and len(found) == 2 and found.shape[1] > 0


def _without_classes(module: str, image_size: int, options: Mapping[str, Any]) -> nn.Module | None:
    """The network for 0 classes; None if the module has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a linear layer without outputs
        try:
            encoder = call_build(module, 0, image_size, options)
            found = try_network(encoder, module, image_size)
        except TriptychError:
            return None
    return encoder if _is_features(found) else None


def _without_last_layer(module: str, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """A classifier whose last linear layer passes on its inputs."""
    encoder = call_build(module, CLASSES, image_size, options)
    linear = [
        path
        for path, layer in encoder.named_modules()
        if path and isinstance(layer, nn.Linear) and layer.out_features == CLASSES
    ]
    if not linear:
        raise TriptychError(
            f"architecture module '{module}': an encoder is needed, and its network does not end in a linear "
            "layer that could be taken away; let build(0, ...) return the network without its classifier"
        )
    encoder.set_submodule(linear[-1], nn.Identity())
    return encoder
