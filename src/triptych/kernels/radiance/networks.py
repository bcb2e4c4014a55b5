"""Both networks of a field, forward and backward, a block of samples at a time.

Activations never leave the cache: the backward pass works them out again instead of reading them.
The type of the encoding, float32 or uint16 with bfloat16 bits, is the type of all activations.
"""

import numpy as np

from triptych.kernels import gemm
from triptych.kernels.compiler.arithmetic import exponential, sigmoid
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.memory import matrix
from triptych.kernels.compiler.vectors import convert_row, copy_row
from triptych.kernels.radiance.matmul import accumulate, masked_product, product, rectified_product

BLOCK = 256  # samples a block
TASK = 2**13  # samples a task, which sums the gradients of the weights for itself
HIDDEN, GEOMETRY, NARROW = 64, 16, 16  # widths: hidden layers, density network's output, any output
GRADIENT = 32  # width of a narrow layer's gradient, padded for products
ZERO, MAX_LOG_DENSITY = np.float32(0), np.float32(15)
NUMBERS, SIXTEEN = np.empty(0, np.float32), (0,) * 16  # types


@kernel
def _activations(encoding, forward):
    """What goes into each of the five layers, for one block of samples."""
    x = matrix(BLOCK, forward[0].size // HIDDEN, encoding)
    c = matrix(BLOCK, forward[2].size // HIDDEN, encoding)
    h1, h2 = matrix(BLOCK, HIDDEN, encoding), matrix(BLOCK, HIDDEN, encoding)
    h3 = matrix(BLOCK, HIDDEN, encoding)
    x[:], c[:] = 0, 0  # columns beyond the encoding and the features stay zero
    return x, c, h1, h2, h3


@kernel
def _load_encoding(encoding, lanes, samples, start, count, out):
    levels, total, features = encoding.shape
    row, line, zero = features * encoding.itemsize, out.shape[1] * encoding.itemsize, encoding[0, 0, 0]
    for level in range(levels):
        source, target = encoding.ctypes.data + level * total * row, out.ctypes.data + level * row
        for s in range(count):
            copy_row(source + samples[start + s] * row, target + s * line, zero, lanes)


@kernel
def _density_network(encoding, lanes, samples, start, count, forward, x, h1, geometry, scratch):
    _load_encoding(encoding, lanes, samples, start, count, x)
    rectified_product(x, forward[0], h1, scratch)
    product(h1, forward[1], geometry)


@kernel
def _colour_layers(geometry, rays, features, samples, start, count, forward, c, h2, h3, scratch):
    like, size = c[0, 0], c.itemsize
    target, source, width = c.ctypes.data, features.ctypes.data, features.shape[1]
    for s in range(count):
        line = target + s * c.shape[1] * size
        convert_row(geometry.ctypes.data + s * GEOMETRY * 4, line, like)
        ray = source + np.int64(rays[samples[start + s]]) * width * size
        for f in range(0, width, 16):
            copy_row(ray + f * size, line + (GEOMETRY + f) * size, like, SIXTEEN)
    rectified_product(c, forward[2], h2, scratch)
    rectified_product(h2, forward[3], h3, scratch)


@kernel
def evaluate(task, encoding, lanes, samples, count, rays, features, forward, density, colour):
    """Density (n,) and, unless `colour` is empty, colour (n, 3) of the samples of one task.

    `samples` are positions in `encoding` (levels, n, features) and `rays`; `features` (rays, m), m a multiple
    of 16, is what the colour network is told of each ray. Both are in the type of the activations.
    """
    gemm.begin()
    x, c, h1, h2, h3 = _activations(encoding, forward)
    geometry, scratch = matrix(BLOCK, NARROW, NUMBERS), matrix(BLOCK, HIDDEN, NUMBERS)
    output = matrix(BLOCK, NARROW, NUMBERS)
    end = min(count, (task + 1) * TASK)
    for start in range(task * TASK, end, BLOCK):
        size = min(BLOCK, end - start)
        _density_network(encoding, lanes, samples, start, size, forward, x, h1, geometry, scratch)
        for s in range(size):
            density[start + s] = exponential(min(geometry[s, 0], MAX_LOG_DENSITY))
        if len(colour) == 0:
            continue
        _colour_layers(geometry, rays, features, samples, start, size, forward, c, h2, h3, scratch)
        product(h3, forward[4], output)
        for s in range(size):
            for f in range(3):
                colour[start + s, f] = sigmoid(output[s, f])


@kernel
def evaluate_backward(
    task, encoding, lanes, samples, count, rays, features, forward, backward, incoming, gradients
):
    """Gradients of the weights, the encoding and the ray features, for one task's samples.

    Args:
        backward: the packed transposes of the five matrices.
        incoming: gradients of the density network's first output (count,) and of the colour network's outputs
            (count, 3), float32.
        gradients: filled: [task] of the weights' five (tasks, outputs, inputs) float32 arrays of zeros; the
            encoding's (levels, count, features); the ray features' (count, m) float32, empty if not needed.
    """
    gemm.begin()
    (d_raw, d_output), (d_weights, d_encoding, d_features) = incoming, gradients
    x, c, h1, h2, h3 = _activations(encoding, forward)
    geometry = matrix(BLOCK, NARROW, NUMBERS)
    scratch = matrix(BLOCK, (HIDDEN + max(HIDDEN, x.shape[1], c.shape[1])) // 2 + 16, NUMBERS)
    d_input, d_x = matrix(BLOCK, c.shape[1], NUMBERS), matrix(BLOCK, x.shape[1], NUMBERS)
    output = matrix(BLOCK, NARROW, NUMBERS)
    narrow, line, like = matrix(BLOCK, GRADIENT, encoding), GRADIENT * encoding.itemsize, encoding[0, 0, 0]
    hidden, hidden2 = matrix(BLOCK, HIDDEN, encoding), matrix(BLOCK, HIDDEN, encoding)
    levels, _, width = encoding.shape
    end = min(count, (task + 1) * TASK)
    for start in range(task * TASK, end, BLOCK):
        size = min(BLOCK, end - start)
        _density_network(encoding, lanes, samples, start, size, forward, x, h1, geometry, scratch)
        _colour_layers(geometry, rays, features, samples, start, size, forward, c, h2, h3, scratch)

        # rows beyond the last sample hold what an earlier block left: their gradients are zero
        narrow[:] = 0
        output[:] = ZERO
        for s in range(size):
            for f in range(3):
                output[s, f] = d_output[start + s, f]
            convert_row(output.ctypes.data + s * NARROW * 4, narrow.ctypes.data + s * line, like)
        accumulate(narrow, h3, d_weights[4][task], scratch)
        masked_product(narrow, backward[4], h3, hidden, scratch)
        accumulate(hidden, h2, d_weights[3][task], scratch)
        masked_product(hidden, backward[3], h2, hidden2, scratch)
        accumulate(hidden2, c, d_weights[2][task], scratch)
        product(hidden2, backward[2], d_input)
        for s in range(size):
            d_input[s, 0] += d_raw[start + s]
            convert_row(d_input.ctypes.data + s * d_input.shape[1] * 4, narrow.ctypes.data + s * line, like)
            if d_features.shape[0] > 0:
                for f in range(features.shape[1]):
                    d_features[start + s, f] = d_input[s, GEOMETRY + f]
        accumulate(narrow, h1, d_weights[1][task], scratch)
        masked_product(narrow, backward[1], h1, hidden, scratch)
        accumulate(hidden, x, d_weights[0][task], scratch)
        product(hidden, backward[0], d_x)
        for place in range(0, x.size, 16):  # columns beyond the encoding stay zero
            convert_row(d_x.ctypes.data + place * 4, x.ctypes.data + place * x.itemsize, like)
        row, whole = width * x.itemsize, x.shape[1] * x.itemsize
        for level in range(levels):
            target = d_encoding[level, start:].ctypes.data
            source = x.ctypes.data + level * row
            for s in range(size):
                copy_row(source + s * whole, target + s * row, like, lanes)
