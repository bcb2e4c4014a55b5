"""The hash grid: encoding positions, and the gradients of its tables and of the positions.

Encodings are stored by level, (levels, n, features): a table of 2^17 rows fits into a core's cache,
so one level after the other is much faster than one sample after the other. In the backward pass
a level belongs to one thread, which adds in the order of the samples.
"""

import numpy as np

from triptych.kernels.compiler.arithmetic import add32, and32, multiply32, truncated, xor32
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import copy_row, widen_row
from triptych.kernels.radiance.rows import gather_row, scatter_row

CHUNK = 2**13  # samples a task
BLOCK = 256  # samples whose corners are worked out before any row is read
ZERO, ONE = np.float32(0), np.float32(1)
PRIME_Y, PRIME_Z, UNIT = np.uint32(2654435761), np.uint32(805459861), np.uint32(1)


@kernel
def _cell(position, scale, shift, cells, last):
    """The cell along one axis, and how far into it a position lies."""
    place = (position * scale + shift) * cells
    low = min(max(np.floor(place), ZERO), last)
    return truncated(low), place - low


@kernel
def _join(one, other, dense):
    return add32(one, other) if dense else xor32(one, other)


@kernel
def corners(positions, start, count, scale, shift, resolution, rows, index, weight):
    """Rows and trilinear weights, 8 x BLOCK each, of the cells around `count` positions (3, n).

    A row of a dense table is the sum of the axes' places times strides, one of a hash table the exclusive or
    of these places times primes.
    """
    side = np.uint32(resolution + 1)
    dense = side * side * side == rows
    factor_y = side if dense else PRIME_Y
    factor_z = np.uint32(side * side) if dense else PRIME_Z
    mask = np.uint32(0xFFFFFFFF if dense else rows - 1)
    cells, last = np.float32(resolution), np.float32(resolution - 1)
    xs, ys, zs = positions[0, start:], positions[1, start:], positions[2, start:]
    for s in range(count):
        x0, hx = _cell(xs[s], scale, shift, cells, last)
        y0, hy = _cell(ys[s], scale, shift, cells, last)
        z0, hz = _cell(zs[s], scale, shift, cells, last)
        _store_weights(weight, s, hx, hy, hz)
        y0, z0 = multiply32(y0, factor_y), multiply32(z0, factor_z)
        x1, y1, z1 = add32(x0, UNIT), add32(y0, factor_y), add32(z0, factor_z)
        low, back = _join(y0, z0, dense), _join(y0, z1, dense)
        high, far = _join(y1, z0, dense), _join(y1, z1, dense)
        index[s] = and32(_join(x0, low, dense), mask)
        index[BLOCK + s] = and32(_join(x1, low, dense), mask)
        index[2 * BLOCK + s] = and32(_join(x0, back, dense), mask)
        index[3 * BLOCK + s] = and32(_join(x1, back, dense), mask)
        index[4 * BLOCK + s] = and32(_join(x0, high, dense), mask)
        index[5 * BLOCK + s] = and32(_join(x1, high, dense), mask)
        index[6 * BLOCK + s] = and32(_join(x0, far, dense), mask)
        index[7 * BLOCK + s] = and32(_join(x1, far, dense), mask)


@kernel
def _store_weights(weight, s, hx, hy, hz):
    lx, ly, lz = ONE - hx, ONE - hy, ONE - hz
    weight[s] = lx * ly * lz
    weight[BLOCK + s] = hx * ly * lz
    weight[2 * BLOCK + s] = lx * ly * hz
    weight[3 * BLOCK + s] = hx * ly * hz
    weight[4 * BLOCK + s] = lx * hy * lz
    weight[5 * BLOCK + s] = hx * hy * lz
    weight[6 * BLOCK + s] = lx * hy * hz
    weight[7 * BLOCK + s] = hx * hy * hz


@kernel
def encode(task, grid, positions, count, out):
    """Encode the first `count` positions (3, n) at one level into out (levels, n, features), float32 or
    uint16 for bfloat16. Task: level * chunks + chunk; `grid` is `FieldKernels.grid`.
    """
    chunks = (count + CHUNK - 1) // CHUNK
    level, chunk = task // chunks, task % chunks
    encode_range(grid, level, positions, chunk * CHUNK, min(count, (chunk + 1) * CHUNK), out[level])


@kernel
def encode_range(grid, level, positions, begin, end, out):
    """Encode positions begin … end - 1 at one level into `out` (n, features)."""
    tables, resolutions, rows, scale, shift, lanes = grid
    features = len(lanes)
    index, weight = np.empty(8 * BLOCK, np.uint32), np.empty(8 * BLOCK, np.float32)
    target, row, like = out.ctypes.data, features * out.itemsize, out[0, 0]
    for start in range(begin, end, BLOCK):
        size = min(BLOCK, end - start)
        corners(positions, start, size, scale, shift, resolutions[level], rows[level], index, weight)
        for s in range(size):
            at = index.ctypes.data + 4 * s, weight.ctypes.data + 4 * s
            gather_row(tables[level], at[0], at[1], BLOCK, target + (start + s) * row, like, lanes)


@kernel
def encode_backward(task, grid, gradients, positions, count, incoming):
    """Add to the gradients of level `task`'s table, given by address; `incoming` is (levels, n, features)."""
    _, resolutions, rows, scale, shift, lanes = grid
    row, like = len(lanes) * incoming.itemsize, incoming[0, 0, 0]
    index, weight = np.empty(8 * BLOCK, np.uint32), np.empty(8 * BLOCK, np.float32)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        corners(positions, start, size, scale, shift, resolutions[task], rows[task], index, weight)
        source = incoming[task, start:].ctypes.data
        for s in range(size):
            at = index.ctypes.data + 4 * s, weight.ctypes.data + 4 * s
            scatter_row(gradients[task], at[0], at[1], BLOCK, source + row * s, like, lanes)


@kernel
def position_gradient(task, grid, positions, count, incoming, out):
    """Add d encoding / d position * incoming (levels, n, features) of CHUNK samples to `out` (3, n)."""
    tables, resolutions, rows, scale, shift, lanes = grid
    features = len(lanes)
    index, weight = np.empty(8 * BLOCK, np.uint32), np.empty(8 * BLOCK, np.float32)
    end = min(count, (task + 1) * CHUNK)
    worth = np.empty(8, np.float32)
    row, arrived = np.empty(features, np.float32), np.empty(features, np.float32)
    source, row_bytes, like = incoming.ctypes.data, features * incoming.itemsize, incoming[0, 0, 0]
    for level in range(len(tables)):
        cells = np.float32(resolutions[level])
        last = cells - ONE
        slope = cells * scale
        for start in range(task * CHUNK, end, BLOCK):
            size = min(BLOCK, end - start)
            corners(positions, start, size, scale, shift, resolutions[level], rows[level], index, weight)
            for s in range(size):
                place = level * incoming.shape[1] + start + s
                widen_row(source + place * row_bytes, arrived.ctypes.data, like, lanes)
                for corner in range(8):
                    entry = tables[level] + np.int64(index[corner * BLOCK + s]) * 4 * features
                    copy_row(entry, row.ctypes.data, ZERO, lanes)
                    total = ZERO
                    for f in range(features):
                        total += row[f] * arrived[f]
                    worth[corner] = total
                _, x = _cell(positions[0, start + s], scale, shift, cells, last)
                _, y = _cell(positions[1, start + s], scale, shift, cells, last)
                _, z = _cell(positions[2, start + s], scale, shift, cells, last)
                # corners are numbered 4 y + 2 z + x
                near_y = (ONE - z) * (worth[1] - worth[0]) + z * (worth[3] - worth[2])
                far_y = (ONE - z) * (worth[5] - worth[4]) + z * (worth[7] - worth[6])
                out[0, start + s] += slope * ((ONE - y) * near_y + y * far_y)
                near_z = (ONE - x) * (worth[4] - worth[0]) + x * (worth[5] - worth[1])
                far_z = (ONE - x) * (worth[6] - worth[2]) + x * (worth[7] - worth[3])
                out[1, start + s] += slope * ((ONE - z) * near_z + z * far_z)
                near_y = (ONE - x) * (worth[2] - worth[0]) + x * (worth[3] - worth[1])
                far_y = (ONE - x) * (worth[6] - worth[4]) + x * (worth[7] - worth[5])
                out[2, start + s] += slope * ((ONE - y) * near_y + y * far_y)
