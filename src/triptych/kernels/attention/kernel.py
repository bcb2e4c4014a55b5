"""Attention of one image at a time in bfloat16, forward and backward.

Libraries multiply batches of small matrices one by one and write scores and weights of all images to
memory, with copies to bring the heads together. Here the scores of one head stay in a core's cache from
the product of queries and keys to that of weights and values (as in Dao et al. 2022, whose images are
too long for one block); the backward pass computes them again from the logarithms of their sums.

`qkv` is (N, tokens, 3, heads, width), bfloat16 seen as uint16, and so is its gradient; outputs are
(N, tokens, heads, width). The width of a head comes in multiples of 16.
"""

from functools import partial

import numpy as np

from triptych.kernels import gemm
from triptych.kernels.compiler.arithmetic import exponential
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.memory import matrix
from triptych.kernels.compiler.vectors import convert_row, copy_row, keep_first, largest, narrow, prefetch

BIT, BITS, NUMBERS = np.uint16(0), np.empty(0, np.uint16), np.empty(0, np.float32)  # types
SIXTEEN = (0,) * 16
ZERO, ONE = np.float32(0), np.float32(1)
NEVER = np.float32(-1e30)  # score of a place that is no key


# Inlined: otherwise a process that compiles these may run another copy of them, with sums in another order,
# than processes that load them from the cache.
inlined = partial(kernel, forceinline=True)


@inlined
def _zeros(rows, columns, like):
    zeros = matrix(rows, columns, like)
    zeros[:] = 0
    return zeros


@inlined
def _copy(source, distance, tokens, target):
    """Copy rows of a head to `target`; `distance` is (bytes between two rows, numbers in one)."""
    width = target.shape[1] * 2
    place = target.ctypes.data
    for token in range(tokens):
        line = source + token * distance[0]
        for column in range(0, distance[1] * 2, 32):
            copy_row(line + column, place + token * width + column, BIT, SIXTEEN)
        for byte in range(distance[1] * 2, distance[1] * 4, 64):
            prefetch(line + byte)  # of the next head


@inlined
def _product_over_width(left, right, tokens, out, packed):
    """Write left @ right.T to `out`, for rows of a head."""
    depth, columns = left.shape[1], out.shape[1]
    gemm.pack_columns(right.ctypes.data, depth * 2, depth, columns, packed.ctypes.data, columns * 4)
    a, b, c = left.ctypes.data, packed.ctypes.data, out.ctypes.data
    gemm.multiply(a, depth * 2, 4, b, columns * 4, c, columns * 4, tokens, columns, depth // 2, False, BIT)


@inlined
def _product_over_tokens(left, strides, right, tokens, out, packed):
    """Write left @ right to `out`: weights times rows of a head; `left` is an address."""
    width, depth = out.shape[1], -(-tokens // gemm.DEPTH) * gemm.DEPTH
    gemm.pack_rows(right.ctypes.data, right.shape[1] * 2, depth, width, packed.ctypes.data, width * 4)
    b, c = packed.ctypes.data, out.ctypes.data
    gemm.multiply(
        left, strides[0], strides[1], b, width * 4, c, width * 4, tokens, width, depth // 2, False, BIT
    )


@inlined
def _write(values, tokens, target, distance):
    """The first rows of float32 values to rows of bfloat16 in memory, `distance` bytes apart."""
    columns = values.shape[1]
    for token in range(tokens):
        for column in range(0, columns, 16):
            source = values.ctypes.data + (token * columns + column) * 4
            convert_row(source, target + token * distance + column * 2, BIT)


@inlined
def _softmax(scores, tokens, scale, weights, logarithms):
    """Weights (bfloat16) of the scores' first rows and columns, and the logarithms of their sums."""
    columns = -(-tokens // 16) * 16  # whole vectors
    last = columns - 16
    totals = np.empty(tokens, np.float32)
    # Row by row each step would wait for the one before it.
    for row in range(tokens):
        line = scores[row].ctypes.data
        keep_first(line + last * 4, tokens - last, NEVER)
        logarithms[row] = largest(line, columns // 16)
    for row in range(tokens):
        line, greatest, total = scores[row], logarithms[row], ZERO
        for column in range(columns):
            value = exponential((line[column] - greatest) * scale)
            line[column] = value
            total += value
        totals[row] = total
    for row in range(tokens):
        line, target = scores[row], weights[row]
        keep_first(line.ctypes.data + last * 4, tokens - last, ZERO)  # so far 1e-38
        share = ONE / totals[row]
        for column in range(columns):
            target[column] = narrow(line[column] * share)
    for row in range(tokens):
        logarithms[row] = logarithms[row] * scale + np.log(totals[row])


@inlined
def _score_gradients(scores, slopes, tokens, scale, logarithms, weights, gradients):
    """From scores and the gradients of weights: weights, and gradients of scores before `scale`."""
    columns = -(-tokens // 16) * 16
    last = columns - 16
    means = np.empty(tokens, np.float32)
    for row in range(tokens):
        line, slope = scores[row], slopes[row]
        logarithm, mean = logarithms[row], ZERO
        for column in range(columns):
            value = exponential(line[column] * scale - logarithm)
            line[column] = value
            mean += value * slope[column]
        means[row] = mean
    for row in range(tokens):
        line, slope, mean = scores[row], slopes[row], means[row]
        weight, gradient = weights[row], gradients[row]
        keep_first(line.ctypes.data + last * 4, tokens - last, ZERO)
        for column in range(columns):
            value = line[column]
            weight[column] = narrow(value)
            gradient[column] = narrow(value * (slope[column] - mean) * scale)


@kernel
def attend(image, qkv, tokens, heads, width, scale, out, logarithms):
    """Outputs of all heads of an image; `logarithms` (N, heads, tokens) float32 for the backward pass."""
    gemm.begin()
    rows, deep, wide = -(-tokens // 16) * 16, -(-tokens // 32) * 32, -(-width // 32) * 32
    q, k, v = _zeros(rows, wide, BITS), _zeros(rows, wide, BITS), _zeros(deep, width, BITS)
    packed, scores = _zeros(deep, wide, BITS), _zeros(rows, rows, NUMBERS)
    weights, result = _zeros(rows, deep, BITS), _zeros(rows, width, NUMBERS)
    inner = heads * width * 2
    distance = (3 * inner, width)
    for head in range(heads):
        place = qkv + image * tokens * 3 * inner + head * width * 2
        _copy(place, distance, tokens, q)
        _copy(place + inner, distance, tokens, k)
        _copy(place + 2 * inner, distance, tokens, v)
        _product_over_width(q, k, tokens, scores, packed)
        _softmax(scores, tokens, scale, weights, logarithms[image, head])
        _product_over_tokens(weights.ctypes.data, (deep * 2, 4), v, tokens, result, packed)
        _write(result, tokens, out + image * tokens * inner + head * width * 2, inner)


@kernel
def attend_backward(image, qkv, gradient, tokens, heads, width, scale, logarithms, result):
    """The gradient of `qkv` from that of the outputs."""
    gemm.begin()
    rows, deep, wide = -(-tokens // 16) * 16, -(-tokens // 32) * 32, -(-width // 32) * 32
    q, k, v = _zeros(deep, wide, BITS), _zeros(deep, wide, BITS), _zeros(deep, wide, BITS)
    dy, packed = _zeros(deep, wide, BITS), _zeros(deep, wide, BITS)
    scores, slopes = _zeros(rows, rows, NUMBERS), _zeros(rows, rows, NUMBERS)
    weights, gradients = _zeros(deep, deep, BITS), _zeros(deep, deep, BITS)
    buffer, part = _zeros(1, gemm.transposed_size(deep, rows) // 2, BITS), _zeros(rows, width, NUMBERS)
    transposed = buffer.ctypes.data
    inner = heads * width * 2
    distance, distance_y = (3 * inner, width), (inner, width)
    for head in range(heads):
        offset = image * tokens * 3 * inner + head * width * 2
        _copy(qkv + offset, distance, tokens, q)
        _copy(qkv + offset + inner, distance, tokens, k)
        _copy(qkv + offset + 2 * inner, distance, tokens, v)
        _copy(gradient + image * tokens * inner + head * width * 2, distance_y, tokens, dy)
        _product_over_width(q, k, tokens, scores, packed)
        _product_over_width(dy, v, tokens, slopes, packed)
        _score_gradients(scores, slopes, tokens, scale, logarithms[image, head], weights, gradients)
        target = result + offset
        _product_over_tokens(gradients.ctypes.data, (deep * 2, 4), k, tokens, part, packed)
        _write(part, tokens, target, 3 * inner)
        strides = gemm.pack_transposed(gradients.ctypes.data, deep * 2, deep, rows, transposed)
        _product_over_tokens(transposed, strides, q, tokens, part, packed)
        _write(part, tokens, target + inner, 3 * inner)
        strides = gemm.pack_transposed(weights.ctypes.data, deep * 2, deep, rows, transposed)
        _product_over_tokens(transposed, strides, dy, tokens, part, packed)
        _write(part, tokens, target + 2 * inner, 3 * inner)
    buffer[0, 0] = 0  # an address alone keeps no memory: without this use it would be freed above
