"""Adam on a hash table, for the rows that got a gradient, in one pass over memory."""

import numpy as np
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.radiance.rows import adam_row

ROWS = 2**13  # rows a task
ZERO = np.float32(0)


@kernel
def adam(task, values, gradient, first, second, count, sizes, rates, lanes):
    """Step the rows of one task as `TableAdam` says, and clear their gradients.

    Args:
        task: which ROWS rows.
        values, gradient, first, second: (rows, features) float32.
        count: (rows, 1) float32, steps that each row has taken.
        sizes: (n,) float32, bias-corrected learning rate of a row's step 0, 1, …; the last one
            stays in force from there on.
        rates: 1 - beta1, 1 - beta2, epsilon, all float32.
        lanes: a tuple of `features` members.
    """
    features = len(lanes)
    row_bytes = 4 * features
    for row in range(task * ROWS, min(values.shape[0], (task + 1) * ROWS)):
        touched = False
        for f in range(features):
            touched |= gradient[row, f] != ZERO
        if touched:
            count[row, 0] += np.float32(1)
            size = sizes[min(np.int64(count[row, 0]), len(sizes) - 1)]
            offset = row * row_bytes
            adam_row(
                values.ctypes.data + offset,
                gradient.ctypes.data + offset,
                first.ctypes.data + offset,
                second.ctypes.data + offset,
                size,
                rates,
                lanes,
            )


def step(
    table: Tensor,
    first: Tensor,
    second: Tensor,
    count: Tensor,
    sizes: Tensor,
    rates: tuple[float, float, float],
) -> None:
    """Step a table by its gradient, and clear that, in place; see `adam` for the arguments."""
    assert table.grad is not None
    arrays = [tensor.detach().numpy() for tensor in (table, table.grad, first, second, count)]
    constants = tuple(np.float32(rate) for rate in rates)
    parallel(adam, -(-len(table) // ROWS), *arrays, sizes.float().numpy(), constants, (0,) * table.shape[1])
