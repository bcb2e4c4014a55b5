"""Batch normalisation, residual addition and ReLU in as few passes over memory as can be.

Maps are (rows, channels) as channels_last tensors lie in memory, in float32, or bfloat16 seen as uint16. A
task is a slice of rows; sums of a task go to rows of their own, so results do not depend on the number of
threads.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import as_stored, widen

ZERO = np.float32(0)


@kernel
def moments(task, x, size, shift, sums, squares):
    """Sums and sums of squares of x - shift, per channel, over rows size * task to size * (task + 1) - 1."""
    channels = x.shape[1]
    # arrays of its own: threads that write to neighbouring cache lines hold each other up
    total, square = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line = x[row]
        for channel in range(channels):
            value = widen(line[channel]) - shift[channel]
            total[channel] += value
            square[channel] += value * value
    sums[task] = total
    squares[task] = square


@kernel
def normalise(task, x, size, scale, bias, residual, add, rectify, y):
    """Y = max(0, x * scale + bias + residual), each part if asked for."""
    channels, like = x.shape[1], y.dtype.type(0)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        source, target = x[row], y[row]
        if add:
            other = residual[row]
            for channel in range(channels):
                value = widen(source[channel]) * scale[channel] + bias[channel] + widen(other[channel])
                target[channel] = as_stored(max(value, ZERO), like)
        elif rectify:
            for channel in range(channels):
                value = widen(source[channel]) * scale[channel] + bias[channel]
                target[channel] = as_stored(max(value, ZERO), like)
        else:
            for channel in range(channels):
                target[channel] = as_stored(widen(source[channel]) * scale[channel] + bias[channel], like)


@kernel
def gradient_sums(task, x, dy, size, shift, scale, bias, rectify, sums, products):
    """Sums of g and of g * (x - shift), per channel; g is dy, with `rectify` where x * scale + bias > 0."""
    channels = x.shape[1]
    total, product = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line, gradient = x[row], dy[row]
        if rectify:
            for channel in range(channels):
                value = widen(line[channel])
                g = widen(gradient[channel]) if value * scale[channel] + bias[channel] > ZERO else ZERO
                total[channel] += g
                product[channel] += g * (value - shift[channel])
        else:
            for channel in range(channels):
                g = widen(gradient[channel])
                total[channel] += g
                product[channel] += g * (widen(line[channel]) - shift[channel])
    sums[task] = total
    products[task] = product


@kernel
def shortcut_sums(task, x, dy, y, size, shift, g, sums, products):
    """As `gradient_sums`, but g is dy where y is positive, which had a shortcut added.

    g is written: it is the shortcut's gradient.
    """
    channels, zero = x.shape[1], y.dtype.type(0)
    total, product = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line, gradient, output, masked = x[row], dy[row], y[row], g[row]
        for channel in range(channels):
            kept = gradient[channel] if output[channel] > zero else zero
            masked[channel] = kept
            value = widen(kept)
            total[channel] += value
            product[channel] += value * (widen(line[channel]) - shift[channel])
    sums[task] = total
    products[task] = product


@kernel
def input_gradient(task, x, g, size, of_g, of_x, constant, scale, bias, rectify, dx):
    """Dx = of_g * g + of_x * x + constant; with `rectify`, g counts where x * scale + bias > 0 only."""
    channels, like = x.shape[1], dx.dtype.type(0)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line, gradient, target = x[row], g[row], dx[row]
        if rectify:
            for channel in range(channels):
                value = widen(line[channel])
                part = widen(gradient[channel]) if value * scale[channel] + bias[channel] > ZERO else ZERO
                value = part * of_g[channel] + value * of_x[channel] + constant[channel]
                target[channel] = as_stored(value, like)
        else:
            for channel in range(channels):
                value = widen(gradient[channel]) * of_g[channel] + widen(line[channel]) * of_x[channel]
                target[channel] = as_stored(value + constant[channel], like)
