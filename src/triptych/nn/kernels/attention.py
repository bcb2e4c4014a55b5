"""Attention of one image at a time in bfloat16 on the CPU's tile registers, forward and backward.

Libraries multiply batches of small matrices one by one and write scores and weights of all images to
memory, with copies to bring the heads together. Here the scores of one head stay in a core's cache from
the product of queries and keys to that of weights and values (as in Dao et al. 2022, whose images are
too long for one block); the way back computes them again from the logarithms of their sums.

`qkv` is (N, tokens, 3, heads, width), bfloat16 seen as uint16, and so is its gradient; outputs are
(N, tokens, heads, width). The width of a head comes in multiples of 16. Only where `has_tiles()`.
"""

import numpy as np

from triptych.kernels.arithmetic import exponential
from triptych.kernels.jit import kernel
from triptych.kernels.tiles import (
    CONFIGURATION,
    TILE,
    tile_configure,
    tile_load,
    tile_multiply,
    tile_store,
    tile_zero,
)
from triptych.kernels.vectors import (
    convert_row,
    copy_row,
    narrow,
    pair_rows,
    transpose_pairs,
    transpose_words,
)

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
        for column in range(0, distance[1] * 2, 32):
            copy_row(source + token * distance[0] + column, place + token * width + column, BIT, SIXTEEN)


@kernel
def _turn_words(source, target):
    """Rows (n, k) as the right-hand side of a product over k: blocks [k / 32][n / 16]."""
    rows, columns = source.shape
    place = target.ctypes.data
    for column in range(0, columns, 32):
        for row in range(0, rows, 16):
            transpose_words(source.ctypes.data + (row * columns + column) * 2, columns * 2, place, 64)
            place += TILE


@kernel
def _pair(source, columns, target):
    """Rows (k, n) as the right-hand side of a product over k, n < columns: blocks [k / 32][n / 16]."""
    rows, distance = source.shape[0], source.shape[1] * 2
    across = columns // 16
    for row in range(0, rows, 2):
        for block in range(across):
            line = source.ctypes.data + row * distance + block * 32
            place = (row // 32 * across + block) * TILE + row % 32 * 32
            pair_rows(line, line + distance, target.ctypes.data + place)


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
def _multiply(left, right, out):
    """Write left @ right to `out`, float32; `right` comes from `_turn_words` or `_pair`."""
    rows, columns = out.shape
    depth = left.shape[1] // 32
    line, row_out = left.shape[1] * 2, columns * 4
    across = columns // 16 * TILE
    for row in range(0, rows, 32):
        tall = row + 16 < rows
        for column in range(0, columns, 32):
            wide = column + 16 < columns
            tile_zero(0)
            tile_zero(1)
            tile_zero(2)
            tile_zero(3)
            a = left.ctypes.data + row * line
            b = right.ctypes.data + column // 16 * TILE
            for _k in range(depth):
                tile_load(4, a, line)
                tile_load(6, b, 64)
                tile_multiply(0, 4, 6)
                if tall:
                    tile_load(5, a + 16 * line, line)
                    tile_multiply(2, 5, 6)
                if wide:
                    tile_load(7, b + TILE, 64)
                    tile_multiply(1, 4, 7)
                    if tall:
                        tile_multiply(3, 5, 7)
                a += 64
                b += across
            c = out.ctypes.data + row * row_out + column * 4
            tile_store(0, c, row_out)
            if wide:
                tile_store(1, c + 64, row_out)
            if tall:
                tile_store(2, c + 16 * row_out, row_out)
                if wide:
                    tile_store(3, c + 16 * row_out + 64, row_out)


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
    best = np.empty(16, np.float32)
    for row in range(tokens):
        line, target = scores[row], weights[row]
        for column in range(tokens, columns):
            line[column] = NEVER
        for lane in range(16):
            best[lane] = line[lane]
        for column in range(16, columns, 16):
            for lane in range(16):
                best[lane] = max(best[lane], line[column + lane])
        greatest = best[0]
        for lane in range(1, 16):
            greatest = max(greatest, best[lane])
        total = ZERO
        for column in range(columns):
            value = exponential((line[column] - greatest) * scale)
            line[column] = value
            total += value
        for column in range(tokens, columns):
            line[column] = ZERO  # so far 1e-38
        share = ONE / total
        for column in range(columns):
            target[column] = narrow(line[column] * share)
        logarithms[row] = greatest * scale + np.log(total)


@kernel
def _score_gradients(scores, slopes, tokens, scale, logarithms, weights, gradients):
    """From scores and the gradients of weights: weights, and gradients of scores before `scale`."""
    columns = -(-tokens // 16) * 16
    for row in range(tokens):
        line, slope = scores[row], slopes[row]
        weight, gradient = weights[row], gradients[row]
        for column in range(tokens, columns):
            line[column] = NEVER
        logarithm, mean = logarithms[row], ZERO
        for column in range(columns):
            value = exponential(line[column] * scale - logarithm)
            line[column] = value
            mean += value * slope[column]
        for column in range(tokens, columns):
            line[column] = ZERO
        for column in range(columns):
            value = line[column]
            weight[column] = narrow(value)
            gradient[column] = narrow(value * (slope[column] - mean) * scale)


@kernel
def attend(image, qkv, tokens, heads, width, scale, out, logarithms):
    """Outputs of all heads of an image; `logarithms` (N, heads, tokens) float32 for the way back."""
    tile_configure(CONFIGURATION.ctypes.data)
    rows, pairs, deep = -(-tokens // 16) * 16, -(-tokens // 32) * 32, -(-width // 32) * 32
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
        _turn_words(k, right)
        _multiply(q, right, scores)
        _softmax(scores, tokens, scale, weights, logarithms[image, head])
        _pair(v, width, right)
        _multiply(weights, right, result)
        _write(result, tokens, out + image * tokens * inner + head * width * 2, inner)


@kernel
def attend_back(image, qkv, gradient, tokens, heads, width, scale, logarithms, result):
    """The gradient of `qkv` from that of the outputs."""
    tile_configure(CONFIGURATION.ctypes.data)
    rows, pairs, deep = -(-tokens // 16) * 16, -(-tokens // 32) * 32, -(-width // 32) * 32
    q, k, v = _zeros(pairs, deep, BITS), _zeros(pairs, deep, BITS), _zeros(pairs, deep, BITS)
    dy, right = _zeros(pairs, deep, BITS), _zeros(pairs, deep, BITS)
    scores, slopes = _zeros(pairs, pairs, NUMBERS), _zeros(pairs, pairs, NUMBERS)
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
        _turn_words(k, right)
        _multiply(q, right, scores)
        _turn_words(v, right)
        _multiply(dy, right, slopes)
        _score_gradients(scores, slopes, tokens, scale, logarithms[image, head], weights, gradients)
        target = result + offset
        _pair(k, width, right)
        _multiply(gradients, right, part)
        _write(part, tokens, target, 3 * inner)
        _turn(gradients, turned)
        _pair(q, width, right)
        _multiply(turned, right, part)
        _write(part, tokens, target + inner, 3 * inner)
        _turn(weights, turned)
        _pair(dy, width, right)
        _multiply(turned, right, part)
        _write(part, tokens, target + 2 * inner, 3 * inner)
