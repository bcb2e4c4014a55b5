"""A field's tensors as the kernels read them: addresses of the tables, packed weights."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.radiance import encode, networks
from triptych.kernels.radiance.matmul import pack
from triptych.kernels.registry import supports
from triptych.radiance.field import GEOMETRY, HIDDEN, Field
from triptych.workflow.errors import TriptychError

MULTIPLE = 32  # of numbers that a product sums over


def activation_type(precision: str) -> type:
    """np.float32, or np.uint16 for bfloat16 bits. Raises `TriptychError` if the CPU has no such products."""
    if precision == "float16":
        raise TriptychError("precision: the CPU's kernels have no float16; use auto, bfloat16 or float32")
    if precision == "bfloat16" and not supports("bfloat16"):
        raise TriptychError(
            "precision: this CPU has no bfloat16 products (AMX or AVX512-BF16); use auto or float32"
        )
    return np.uint16 if precision != "float32" and supports("bfloat16") else np.float32


def ray_activations(features: Tensor, dtype: type) -> np.ndarray:
    """Ray features (n, m) in the type of the activations, with zeros up to a multiple of 16."""
    wide = functional.pad(features.detach(), (0, -features.shape[1] % 16))
    if dtype is np.float32:
        return wide.contiguous().numpy()
    return wide.bfloat16().contiguous().view(torch.uint16).numpy()


def _padded(size: int) -> int:
    return -(-size // MULTIPLE) * MULTIPLE


class FieldKernels:
    """Kernels bound to one field.

    The field's tables and weights are read where they are; call `refresh` when weights change.
    """

    def __init__(self, field: Field, precision: str) -> None:
        self.field, self.dtype = field, activation_type(precision)
        self.lanes = (0,) * field.grid.features
        tables = [table.detach() for table in field.grid.tables]
        scale = 1 / field.shape.aabb_scale
        self.grid = (
            np.array([table.data_ptr() for table in tables]),
            np.array(field.grid.resolutions),
            np.array([len(table) for table in tables]),
            np.float32(scale),
            np.float32(0.5 - 0.5 * scale),
            self.lanes,
        )
        parts = (*field.density_network.modules(), *field.colour_network.modules())
        self.layers = [layer for layer in parts if isinstance(layer, nn.Linear)]
        inputs = [_padded(field.grid.width), HIDDEN, _padded(GEOMETRY + field.ray_width), HIDDEN, HIDDEN]
        outputs = [HIDDEN, networks.NARROW, HIDDEN, HIDDEN, networks.NARROW]
        self.shapes = list(zip(outputs, inputs, strict=True))
        self.refresh()

    def refresh(self) -> None:
        """Take over the networks' weights as they are now."""
        forward, backward = [], []
        for layer, (outputs, inputs) in zip(self.layers, self.shapes, strict=True):
            weight = np.zeros((_padded(outputs), inputs), np.float32)
            weight[: layer.out_features, : layer.in_features] = layer.weight.detach().numpy()
            forward.append(pack(weight[:outputs].T, self.dtype))
            backward.append(pack(weight, self.dtype))
        self.forward, self.backward = tuple(forward), tuple(backward)

    def encode(self, positions: np.ndarray, count: int) -> np.ndarray:
        """Encode the first `count` of (3, n) float32 positions: (levels, count, features)."""
        levels = len(self.field.grid.tables)
        encoding: np.ndarray = np.empty((levels, max(count, 1), len(self.lanes)), self.dtype)
        chunks = -(-count // encode.CHUNK)
        parallel(encode.encode, levels * chunks, self.grid, positions, count, encoding)
        return encoding

    def density(self, positions: Tensor) -> Tensor:
        """`Field.density` of (n, 3) float32 positions, without gradients."""
        count = len(positions)
        by_axis = positions.detach().t().contiguous().numpy()
        density, encoding = np.empty(count, np.float32), self.encode(by_axis, count)
        samples = encoding, self.lanes, np.arange(count, dtype=np.int32), count
        no_rays: tuple[np.ndarray, ...] = (np.empty(0, np.int32), np.empty((0, 0), self.dtype))
        no_colour = np.empty((0, 3), np.float32)
        tasks = -(-count // networks.TASK)
        parallel(networks.evaluate, tasks, *samples, *no_rays, self.forward, density, no_colour)
        return torch.from_numpy(density)
