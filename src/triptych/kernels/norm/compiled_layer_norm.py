"""Layer normalisation after a residual addition, in one pass over memory each way.

Rows are tokens. The stream that blocks add to is float32; what blocks read and write is bfloat16 seen as
uint16. A task is a slice of rows; sums of a task go to rows of their own, so results do not depend on the
number of threads.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import narrow, widen

ZERO, ONE = np.float32(0), np.float32(1)


@kernel
def add_and_normalise(
    task, size, stream, addend, shares, tokens, weight, bias, epsilon, total, y, means, inverses
):
    """Write stream + shares * addend to total, unless addend has no rows, and its norm to y.

    `shares` has a number for each sample of `tokens` rows. `means` and `inverses` (1 / deviation) are
    for the way back.
    """
    columns = stream.shape[1]
    for row in range(task * size, min((task + 1) * size, stream.shape[0])):
        line = stream[row]
        if len(addend) > 0:
            share, more = shares[row // tokens], addend[row]
            summed = total[row]
            for column in range(columns):
                summed[column] = line[column] + share * widen(more[column])
            line = summed
        mean = ZERO
        for column in range(columns):
            mean += line[column]
        mean /= np.float32(columns)
        square = ZERO
        for column in range(columns):
            away = line[column] - mean
            square += away * away
        inverse = ONE / np.sqrt(square / np.float32(columns) + epsilon)
        target = y[row]
        for column in range(columns):
            target[column] = narrow((line[column] - mean) * inverse * weight[column] + bias[column])
        means[row], inverses[row] = mean, inverse


@kernel
def normalise_back(
    task,
    size,
    total,
    means,
    inverses,
    weight,
    dy,
    above,
    shares,
    tokens,
    d_stream,
    d_addend,
    d_weight,
    d_bias,
):
    """Gradients of stream and addend from those of y and, if it has rows, of total (`above`).

    Row `task` of `d_weight` and `d_bias` receives this task's sums.
    """
    columns = total.shape[1]
    of_weight, of_bias = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    for row in range(task * size, min((task + 1) * size, total.shape[0])):
        line, slope, target = total[row], dy[row], d_stream[row]
        mean, inverse = means[row], inverses[row]
        straight, product = ZERO, ZERO
        for column in range(columns):
            normal = (line[column] - mean) * inverse
            g = widen(slope[column])
            of_weight[column] += g * normal
            of_bias[column] += g
            g *= weight[column]
            straight += g
            product += g * normal
        straight /= np.float32(columns)
        product /= np.float32(columns)
        for column in range(columns):
            normal = (line[column] - mean) * inverse
            g = widen(slope[column]) * weight[column]
            target[column] = (g - straight - normal * product) * inverse
        if len(above) > 0:
            more = above[row]
            for column in range(columns):
                target[column] += more[column]
        if len(d_addend) > 0:
            share, other = shares[row // tokens], d_addend[row]
            for column in range(columns):
                other[column] = narrow(share * target[column])
    d_weight[task] = of_weight
    d_bias[task] = of_bias
