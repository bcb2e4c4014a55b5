"""Weighted sums of table rows: the hot spot of a hash grid, with one implementation a device.

`weighted_sum_reference` is plain PyTorch and defines the meaning; `weighted_sum` picks the
fastest implementation for the tensors' device.
"""

from typing import Any

import numpy as np
import torch
from scipy.sparse import csc_array
from torch import Tensor


def weighted_sum_reference(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """out[n] = sum over c of weight[n, c] * table[index[n, c]].

    Args:
        table: (rows, features).
        index: (n, corners) integer rows.
        weight: (n, corners).

    Returns:
        (n, features).
    """
    return (table[index.long()] * weight[..., None]).sum(dim=-2)


class _CpuWeightedSum(torch.autograd.Function):
    """`embedding_bag` fuses gather and sum; its own backward pass sorts the indices, which costs
    20 times as much as the transposed sparse product used here. Both are deterministic.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(table, index, weight)
        return torch.nn.functional.embedding_bag(index, table, mode="sum", per_sample_weights=weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, index, weight = ctx.saved_tensors
        (gradient,) = gradients
        for_table = for_weight = None
        if ctx.needs_input_grad[0]:
            rows, corners = index.shape
            ends = np.arange(0, rows * corners + 1, corners, dtype=np.int32)
            entries = (weight.detach().reshape(-1).numpy(), index.reshape(-1).numpy(), ends)
            transposed = csc_array(entries, shape=(table.shape[0], rows))
            for_table = torch.from_numpy(transposed @ gradient.contiguous().numpy())
        if ctx.needs_input_grad[2]:
            for_weight = (table[index.long()] * gradient[:, None, :]).sum(dim=-1)
        return for_table, None, for_weight


def weighted_sum(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """`weighted_sum_reference`, by the fastest implementation for the device."""
    if table.device.type == "cpu":
        result: Tensor = _CpuWeightedSum.apply(table, index, weight)
        return result
    return weighted_sum_reference(table, index, weight)
