"""Crop, resize and mirror one image: the mathematics of `triptych.augment.geometry.crop_resize_flip`."""

import numpy as np

from triptych.kernels.compiler.jit import kernel

LANES = 16  # neighbouring numbers that are worked on together: buffers are longer than needed by this many
PER_BYTE = 1 / 255  # of a byte's value, in 0..1


@kernel
def triangle_filter(start, length, gain, first, taps, weights):
    """Which pixels of a line make up each pixel of the resized crop, and by how much (weights, (size, taps)).

    `first` and `taps`, (size,), are filled with where its run of old pixels begins, and how many they are.
    """
    size = len(first)
    scale = length / size
    support = max(scale, 1.0)
    for new in range(size):
        centre = start + (new + 0.5) * scale
        low = max(start, int(np.floor(centre - support + 0.5)))
        high = min(start + length, int(np.ceil(centre + support - 0.5)))
        total = 0.0
        for pixel in range(low, high):
            total += 1 - abs(pixel + 0.5 - centre) / support
        for pixel in range(low, high):
            weights[new, pixel - low] = (1 - abs(pixel + 0.5 - centre) / support) * gain / total
        first[new], taps[new] = low, high - low


@kernel
def most_taps(side, size):
    """Bound on the pixels that make up one new pixel."""
    return 2 * max(1, -(-side // size)) + 1


@kernel
def combine(source, place, stride, weights, taps, length, out):
    """out[k] = sum over t of weights[t] * source[place + t * stride + k]; k goes to a multiple of LANES."""
    for begin in range(0, length, LANES):
        target = out[begin : begin + LANES]
        line, weight = source[place + begin : place + begin + LANES], weights[0]
        for lane in range(LANES):
            target[lane] = weight * line[lane]
        for tap in range(1, taps):
            other = place + tap * stride + begin
            line, weight = source[other : other + LANES], weights[tap]
            for lane in range(LANES):
                target[lane] += weight * line[lane]


@kernel
def resample_buffers(height, width, size):
    """What `crop_resize_flip` needs for images of this size."""
    padded = (size + LANES - 1) // LANES * LANES
    return (
        np.empty(height * width * 3 + LANES, np.float32),
        np.empty((size, width * 3 + LANES), np.float32),
        np.empty((width * 3, padded), np.float32),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty((size, most_taps(max(height, width), size)), np.float32),
    )


@kernel
def crop_resize_flip(image, top, left, height, width, mirrored, size, buffers, planes):
    """Crop an image (H, W, 3) uint8, resize the crop to `size` pixels in both directions, and mirror it.

    `planes` (3, size * size + LANES) float32 is filled with values in 0..1, column after column.
    """
    pixels, rows, columns, first, taps, weights = buffers
    row_length = image.shape[1] * 3
    crop = image[top : top + height].reshape(-1)
    for k in range(len(crop)):
        pixels[k] = np.float32(crop[k])
    triangle_filter(top, height, PER_BYTE, first, taps, weights)
    for row in range(size):
        place = (first[row] - top) * row_length + left * 3
        combine(pixels, place, row_length, weights[row], taps[row], width * 3, rows[row])
    # Columns become rows, so that neighbours in memory have the same weights again.
    for k in range(width * 3):
        line = columns[k]
        for row in range(size):
            line[row] = rows[row, k]
    triangle_filter(left, width, 1.0, first, taps, weights)
    padded = columns.shape[1]
    source = columns.reshape(-1)
    for column in range(size):
        which = size - 1 - column if mirrored else column
        for channel in range(3):
            place = ((first[which] - left) * 3 + channel) * padded
            target = planes[channel, column * size :]
            combine(source, place, 3 * padded, weights[which], taps[which], size, target)
