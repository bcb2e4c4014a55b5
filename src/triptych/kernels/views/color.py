"""Colour distortion of one image in place: the mathematics of `triptych.augment.color`.

An image is three arrays of the same length, red, green and blue, float32 in 0..1.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel

LUMA = (0.2989, 0.587, 0.114)  # as in triptych.augment.color; here, where an edit recompiles the kernels
ZERO, ONE, TWO, FOUR, SIX = np.float32(0), np.float32(1), np.float32(2), np.float32(4), np.float32(6)
RED, GREEN, BLUE = np.float32(LUMA[0]), np.float32(LUMA[1]), np.float32(LUMA[2])


@kernel
def _bounded(value):
    return min(max(value, ZERO), ONE)


@kernel
def adjust_brightness(red, green, blue, factor):
    """Blend with black."""
    for plane in (red, green, blue):
        for k in range(len(plane)):
            plane[k] = _bounded(plane[k] * factor)


@kernel
def adjust_contrast(red, green, blue, factor):
    """Blend with the mean luminance."""
    total = ZERO
    for k in range(len(red)):
        total += RED * red[k] + GREEN * green[k] + BLUE * blue[k]
    mean = total / np.float32(len(red)) * (ONE - factor)
    for plane in (red, green, blue):
        for k in range(len(plane)):
            plane[k] = _bounded(plane[k] * factor + mean)


@kernel
def adjust_saturation(red, green, blue, factor):
    """Blend with the luminance of each pixel."""
    for k in range(len(red)):
        r, g, b = red[k], green[k], blue[k]
        grey = (RED * r + GREEN * g + BLUE * b) * (ONE - factor)
        red[k] = _bounded(r * factor + grey)
        green[k] = _bounded(g * factor + grey)
        blue[k] = _bounded(b * factor + grey)


@kernel
def _channel(place, high, chroma):
    place = place - SIX if place >= SIX else place
    return high - chroma * _bounded(min(place, FOUR - place))


@kernel
def adjust_hue(red, green, blue, shift):
    """Rotate the hue in HSV space by `shift` turns."""
    turn = SIX * shift
    for k in range(len(red)):
        r, g, b = red[k], green[k], blue[k]
        high, low = max(max(r, g), b), min(min(r, g), b)
        chroma = high - low
        share = ONE / chroma if chroma > ZERO else ZERO
        of_green, of_blue = TWO + (b - r) * share, FOUR + (r - g) * share
        sector = of_green if high == g else of_blue
        hue = turn + ((g - b) * share if high == r else sector)
        hue -= SIX * np.floor(hue / SIX)
        red[k] = _channel(hue + np.float32(5), high, chroma)
        green[k] = _channel(hue + np.float32(3), high, chroma)
        blue[k] = _channel(hue + ONE, high, chroma)


@kernel
def jitter(red, green, blue, factors, order):
    """The four adjustments, brightness, contrast, saturation and hue, by (4,) factors in a (4,) order."""
    for which in order:
        factor = factors[which]
        if which == 0:
            adjust_brightness(red, green, blue, factor)
        elif which == 1:
            adjust_contrast(red, green, blue, factor)
        elif which == 2:
            adjust_saturation(red, green, blue, factor)
        else:
            adjust_hue(red, green, blue, factor)


@kernel
def remove_color(red, green, blue):
    """Replace all channels by the luminance."""
    for k in range(len(red)):
        red[k] = RED * red[k] + GREEN * green[k] + BLUE * blue[k]
    green[:] = red
    blue[:] = red
