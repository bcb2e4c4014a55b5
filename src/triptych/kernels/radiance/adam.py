"""Adam on a hash table, for the rows that got a gradient, in one pass over memory."""

import numpy as np
from llvmlite import ir
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.llvm import FLOAT, instruction, load, splat, store
from triptych.kernels.compiler.threads import parallel

ROWS = 2**13  # rows a task
ZERO = np.float32(0)


def step(
    table: Tensor,
    first: Tensor,
    second: Tensor,
    count: Tensor,
    learning_rates: Tensor,
    rates: tuple[float, float, float],
) -> None:
    """Step a table by its gradient, and clear that, in place.

    Args:
        table: (rows, features) float32, with a gradient.
        first, second: likewise, the moments.
        count: (rows, 1) float32, steps that each row has taken.
        learning_rates: (n,), bias-corrected, of a row's step 0, 1, …; later steps have the last one.
        rates: 1 - beta1, 1 - beta2, epsilon.
    """
    assert table.grad is not None
    tensors = table, table.grad, first, second, count, learning_rates.float()
    arrays = [tensor.detach().numpy() for tensor in tensors]
    constants = tuple(np.float32(rate) for rate in rates)
    parallel(adam, -(-len(table) // ROWS), *arrays, constants, (0,) * table.shape[1])


@instruction()
def _adam_row(builder, kinds, values, gradient, first, second, learning_rate, rates, lanes):
    """One step of len(lanes) neighbouring float32, given by addresses; the gradient is cleared."""
    vector = ir.VectorType(FLOAT, kinds[6].count)
    places = values, gradient, first, second
    value, slope, mean, square = (load(builder, place, vector) for place in places)
    rate1, rate2, epsilon = (
        splat(builder, builder.extract_value(rates, number), vector.count) for number in range(3)
    )
    mean = builder.fadd(mean, builder.fmul(rate1, builder.fsub(slope, mean)))
    square = builder.fadd(square, builder.fmul(rate2, builder.fsub(builder.fmul(slope, slope), square)))
    sqrt = builder.module.declare_intrinsic(
        f"llvm.sqrt.v{vector.count}f32", (), ir.FunctionType(vector, [vector])
    )
    change = builder.fmul(splat(builder, learning_rate, vector.count), mean)
    change = builder.fdiv(change, builder.fadd(builder.call(sqrt, [square]), epsilon))
    cleared = ir.Constant(vector, [0.0] * vector.count)
    for new, place in zip((builder.fsub(value, change), cleared, mean, square), places, strict=True):
        store(builder, new, place, 4)


@kernel
def adam(task, values, gradient, first, second, count, learning_rates, rates, lanes):
    """`step` of ROWS rows; `lanes` is a tuple of as many members as a row has features."""
    features = len(lanes)
    places = values.ctypes.data, gradient.ctypes.data, first.ctypes.data, second.ctypes.data
    for row in range(task * ROWS, min(values.shape[0], (task + 1) * ROWS)):
        touched = False
        for f in range(features):
            touched |= gradient[row, f] != ZERO
        if touched:
            count[row, 0] += np.float32(1)
            learning_rate = learning_rates[min(np.int64(count[row, 0]), len(learning_rates) - 1)]
            offset = row * 4 * features
            a, b, c, d = places[0] + offset, places[1] + offset, places[2] + offset, places[3] + offset
            _adam_row(a, b, c, d, learning_rate, rates, lanes)
