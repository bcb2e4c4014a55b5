"""Hash grid and networks by tiny-cuda-nn (https://github.com/NVlabs/tiny-cuda-nn), if it is installed.

Its parameters have a different layout, so `FieldShape.modules` names a field's implementation; a field
trained with tiny-cuda-nn needs it to be rendered, too.
"""

import importlib
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

TORCH, TINY_CUDA = "torch", "tiny-cuda-nn"
PRECISIONS = ("auto", "float16")  # it computes in float16; for other precisions PyTorch is used
FEATURES = (1, 2, 4, 8)  # supported numbers of features per level


def load_tiny_cuda() -> Any:
    """The module `tinycudann`.

    Raises:
        TriptychError: it is not installed, or not for a GPU of this machine.
    """
    try:
        return importlib.import_module("tinycudann")
    except Exception as error:  # without a GPU it raises many kinds of errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TriptychError(
            f"radiance: this field is made of tiny-cuda-nn, which cannot be imported here ({reason}); "
            "install tinycudann on a machine with a GPU, or train the scene again on this one"
        ) from error


def modules_for(device: torch.device, *, precision: str, features: int) -> str:
    """Implementation of a new field: `tiny-cuda-nn` on CUDA if installed and supported, else `torch`."""
    if device.type != "cuda" or precision not in PRECISIONS or features not in FEATURES:
        return TORCH
    try:
        load_tiny_cuda()
    except TriptychError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            log.warning("%s; PyTorch's own modules are used instead", error)
        return TORCH
    return TINY_CUDA


def check_modules(modules: str, device: torch.device) -> None:
    """Raise `TriptychError` if a field with this implementation cannot be rendered on this device."""
    if modules == TINY_CUDA and device.type != "cuda":
        raise TriptychError(
            f"radiance: this field is made of tiny-cuda-nn's modules, which do not run on {device.type}; set "
            "device: cuda, or train the scene again with precision bfloat16 or float32"
        )


def _seed(generator: torch.Generator | None) -> int:
    return int(torch.randint(2**31, (), generator=generator))


def _applied(module: Any, rows: Tensor, parameters: dict[str, Tensor]) -> Tensor:
    """The module's outputs for (n, m) rows; it must not be called with n = 0."""
    some = rows if len(rows) else functional.pad(rows, (0, 0, 0, 1))
    return torch.func.functional_call(module, parameters, (some,))[: len(rows)]


class TinyCudaGrid(nn.Module):
    """`HashGrid` by tiny-cuda-nn: all levels in one table, a corner's features in each row.

    Args: see `HashGrid`.

    Raises:
        TriptychError: see `load_tiny_cuda`.
    """

    def __init__(
        self,
        *,
        levels: int,
        features: int,
        log2_table: int,
        base_resolution: int,
        finest_resolution: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        growth = (finest_resolution / base_resolution) ** (1 / max(1, levels - 1))
        settings = {
            "otype": "Grid",
            "type": "Hash",
            "n_levels": levels,
            "n_features_per_level": features,
            "log2_hashmap_size": log2_table,
            "base_resolution": base_resolution,
            "per_level_scale": growth,
            "interpolation": "Linear",
        }
        encoding = load_tiny_cuda().Encoding(3, settings, seed=_seed(generator))
        self.features, self.width = features, levels * features
        self.tables = nn.ParameterList([nn.Parameter(encoding.params.detach().float().view(-1, features))])
        # in a list, so that its flat parameters, which the table replaces, are not counted among the field's
        self.encoding = [encoding]

    def forward(self, positions: Tensor) -> Tensor:
        """Encode (n, 3) positions in [0, 1] as (n, levels · features) float16."""
        return _applied(self.encoding[0], positions, {"params": self.tables[0].view(-1)})


class TinyCudaNetwork(nn.Module):
    """A fully connected network without biases, ReLU in between, by tiny-cuda-nn.

    Args:
        widths: numbers of inputs, units of the hidden layers (all the same) and outputs.
        generator: source of the initial values.

    Raises:
        TriptychError: see `load_tiny_cuda`.
    """

    def __init__(self, *widths: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        settings = {
            "otype": "FullyFusedMLP",
            "activation": "ReLU",
            "output_activation": "None",
            "n_neurons": widths[1],
            "n_hidden_layers": len(widths) - 2,
        }
        self.network = load_tiny_cuda().Network(widths[0], widths[-1], settings, seed=_seed(generator))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (n, inputs) to (n, outputs) float16."""
        return _applied(self.network, inputs, {})
