"""Attention of one image at a time in bfloat16 on a CPU's tiles or by pairs, forward and backward.

Libraries multiply batches of small matrices one by one and write scores and weights of all images to
memory, with copies to bring the heads together. Here the scores of one head stay in a core's cache from
the product of queries and keys to that of weights and values (as in Dao et al. 2022, whose images are
too long for one block); the way back computes them again from the logarithms of their sums.

`qkv` is (N, tokens, 3, heads, width), bfloat16 seen as uint16, and so is its gradient; outputs are
(N, tokens, heads, width). The width of a head comes in multiples of 16. Only with
hardware products of bfloat16.
"""

import numpy as np

from triptych.kernels.compiler.arithmetic import exponential
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import (
    convert_row,
    copy_row,
    keep_first,
    largest,
    narrow,
    prefetch,
    transpose_pairs,
)
from triptych.kernels.registry import supports

if supports("amx_bf16"):
    from triptych.kernels.attention.compiled_amx import DEPTH, begin, multiply, pair, turn_words
else:
    from triptych.kernels.attention.compiled_avx512_bf16 import DEPTH, begin, multiply, pair, turn_words

BIT, BITS, NUMBERS = np.uint16(0), np.empty(0, np.uint16), np.empty(0, np.float32)  # types
SIXTEEN = (0,) * 16
ZERO, ONE = np.float32(0), np.float32(1)
NEVER = np.float32(-1e30)  # score of a place that is no key


@kernel
def _zeros(rows, columns, like):
    """Zeros of the type of `like` that begin at a cache line."""
    size = rows * columns * like.itemsize
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(like.dtype).reshape((rows, columns))


@kernel
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


@kernel
def _turn(source, target):
    """Write the transpose of (k, m) as (m, k): a left-hand side for a product over k."""
    rows, columns = target.shape
    for row in range(0, rows, 16):
        for column in range(0, columns, 32):
            transpose_pairs(
                source.ctypes.data + column * source.shape[1] * 2 + row * 2,
                source.shape[1] * 2,
                target.ctypes.data + (row * columns + column) * 2,
                columns * 2,
            )


@kernel
def _write(values, tokens, target, distance):
    """The first rows of float32 values to rows of bfloat16 in memory, `distance` bytes apart."""
    columns = values.shape[1]
    for token in range(tokens):
        for column in range(0, columns, 16):
            source = values.ctypes.data + (token * columns + column) * 4
            convert_row(source, target + token * distance + column * 2, BIT)


@kernel
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


@kernel
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
    """Outputs of all heads of an image; `logarithms` (N, heads, tokens) float32 for the way back."""
    begin()
    rows, pairs, deep = -(-tokens // 16) * 16, -(-tokens // 32) * 32, -(-width // 32) * 32
    depth = -(-tokens // DEPTH) * DEPTH
    q, k, v = _zeros(rows, deep, BITS), _zeros(rows, deep, BITS), _zeros(pairs, width, BITS)
    right, scores = _zeros(pairs, deep, BITS), _zeros(rows, rows, NUMBERS)
    weights, result = _zeros(rows, pairs, BITS), _zeros(rows, width, NUMBERS)
    inner = heads * width * 2
    distance = (3 * inner, width)
    for head in range(heads):
        place = qkv + image * tokens * 3 * inner + head * width * 2
        _copy(place, distance, tokens, q)
        _copy(place + inner, distance, tokens, k)
        _copy(place + 2 * inner, distance, tokens, v)
        turn_words(k, right)
        multiply(q, right, scores, tokens, deep)
        _softmax(scores, tokens, scale, weights, logarithms[image, head])
        pair(v, width, right)
        multiply(weights, right, result, tokens, depth)
        _write(result, tokens, out + image * tokens * inner + head * width * 2, inner)


@kernel
def attend_back(image, qkv, gradient, tokens, heads, width, scale, logarithms, result):
    """The gradient of `qkv` from that of the outputs."""
    begin()
    rows, pairs, deep = -(-tokens // 16) * 16, -(-tokens // 32) * 32, -(-width // 32) * 32
    depth = -(-tokens // DEPTH) * DEPTH
    q, k, v = _zeros(pairs, deep, BITS), _zeros(pairs, deep, BITS), _zeros(pairs, deep, BITS)
    dy, right = _zeros(pairs, deep, BITS), _zeros(pairs, deep, BITS)
    scores, slopes = _zeros(rows, rows, NUMBERS), _zeros(rows, rows, NUMBERS)
    weights, gradients = _zeros(pairs, pairs, BITS), _zeros(pairs, pairs, BITS)
    turned, part = _zeros(rows, pairs, BITS), _zeros(rows, width, NUMBERS)
    inner = heads * width * 2
    distance, distance_y = (3 * inner, width), (inner, width)
    for head in range(heads):
        offset = image * tokens * 3 * inner + head * width * 2
        _copy(qkv + offset, distance, tokens, q)
        _copy(qkv + offset + inner, distance, tokens, k)
        _copy(qkv + offset + 2 * inner, distance, tokens, v)
        _copy(gradient + image * tokens * inner + head * width * 2, distance_y, tokens, dy)
        turn_words(k[:rows], right)
        multiply(q, right, scores, tokens, deep)
        turn_words(v[:rows], right)
        multiply(dy, right, slopes, tokens, deep)
        _score_gradients(scores, slopes, tokens, scale, logarithms[image, head], weights, gradients)
        target = result + offset
        pair(k, width, right)
        multiply(gradients, right, part, tokens, depth)
        _write(part, tokens, target, 3 * inner)
        _turn(gradients, turned)
        pair(q, width, right)
        multiply(turned, right, part, tokens, depth)
        _write(part, tokens, target + inner, 3 * inner)
        _turn(weights, turned)
        pair(dy, width, right)
        multiply(turned, right, part, tokens, depth)
        _write(part, tokens, target + 2 * inner, 3 * inner)
