"""A field's density alone, without gradients, by the fastest means: for occupancy and for surfaces."""

from collections.abc import Callable

import torch
from torch import Tensor

from triptych.radiance.field import Field, runs_on_kernels
from triptych.workflow.devices import autocast


def density_of(field: Field, precision: str) -> Callable[[Tensor], Tensor]:
    """A function from (n, 3) float32 positions in unit-cube coordinates to (n,) densities.

    It follows the field while that is trained.
    """
    if runs_on_kernels(field):
        from triptych.kernels.radiance.field import FieldKernels

        kernels = FieldKernels(field, precision)

        def by_kernels(positions: Tensor) -> Tensor:
            kernels.refresh()
            return kernels.density(positions)

        return by_kernels

    @torch.no_grad()
    def by_tensors(positions: Tensor) -> Tensor:
        with autocast(positions.device, precision):
            return field.density(positions)

    return by_tensors
