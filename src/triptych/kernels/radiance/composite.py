"""Compositing samples along rays, forward and backward: the mathematics of `triptych.radiance.composite`."""

import numpy as np

from triptych.kernels.compiler.arithmetic import exponential
from triptych.kernels.compiler.jit import kernel

RAYS = 256  # rays a task
ZERO, ONE, THIRD = np.float32(0), np.float32(1), np.float32(1 / 3)
TWO = np.float32(2)


@kernel
def composite(task, starts, distances, steps, min_transmittance, density, colour, rendered, seen):
    """What RAYS rays see; their samples begin at `starts` (rays + 1,), and those below a transmittance are
    left out.

    Fills `rendered` (rays, 6) with colour, opacity, depth, distortion, and `seen` (rays,) with how many of
    each ray's samples took part.
    """
    length, cone = steps
    for ray in range(task * RAYS, min(len(seen), (task + 1) * RAYS)):
        light, red, green, blue, depth, distortion = ONE, ZERO, ZERO, ZERO, ZERO, ZERO
        number = 0
        for sample in range(starts[ray], starts[ray + 1]):
            if light <= min_transmittance:
                break
            number += 1
            distance = distances[sample]
            step = max(distance * cone, length)
            passing = exponential(-density[sample] * step)
            weight = light * (ONE - passing)
            # before this sample: opacity is 1 - light, weighted distance is depth
            distortion += TWO * weight * (distance * (ONE - light) - depth) + THIRD * weight * weight * step
            red += weight * colour[sample, 0]
            green += weight * colour[sample, 1]
            blue += weight * colour[sample, 2]
            depth += weight * distance
            light *= passing
        line = rendered[ray]
        line[0], line[1], line[2] = red, green, blue
        line[3], line[4], line[5] = ONE - light, depth, distortion
        seen[ray] = number


@kernel
def composite_backward(task, starts, seen_starts, samples, steps, damped, outputs, incoming, gradients):
    """Gradients of the networks' outputs, for the samples that took part.

    Args:
        seen_starts: (rays + 1,) int64, where each ray's samples begin among those that took part.
        samples: distances (n,) and positions (3, n), float32.
        damped: distance below which gradients are scaled down; see `scale_gradients_by_distance`.
        incoming: (rays, 6) float32, the gradient of `rendered`.
        gradients: of the m samples that took part, filled: their numbers among all (m,) int32, the gradient
            of the logarithm of density (m,), that of the colour before its sigmoid (m, 3), and their
            positions (3, m), all float32.
    """
    (length, cone), (distances, positions), (density, colour, rendered) = steps, samples, outputs
    numbers, d_raw, d_output, seen_positions = gradients
    for ray in range(task * RAYS, min(len(starts) - 1, (task + 1) * RAYS)):
        d_red, d_green, d_blue = incoming[ray, 0], incoming[ray, 1], incoming[ray, 2]
        d_opacity, d_depth, d_distortion = incoming[ray, 3], incoming[ray, 4], incoming[ray, 5]
        opacity, depth = rendered[ray, 3], rendered[ray, 4]
        count = seen_starts[ray + 1] - seen_starts[ray]
        # sum of weight times its gradient, over all samples and then over those still to come
        rest = ZERO
        for again in range(2):
            light, before = ONE, ZERO
            for number in range(count):
                sample = starts[ray] + number
                distance = distances[sample]
                step = max(distance * cone, length)
                passing = exponential(-density[sample] * step)
                weight = light * (ONE - passing)
                red, green, blue = colour[sample, 0], colour[sample, 1], colour[sample, 2]
                after, further = opacity - (ONE - light) - weight, depth - before - weight * distance
                spread = distance * (ONE - light) - before + further - distance * after
                slope = d_red * red + d_green * green + d_blue * blue + d_opacity + d_depth * distance
                slope += d_distortion * (TWO * spread + TWO * THIRD * weight * step)
                light *= passing
                before += weight * distance
                if again == 0:
                    rest += weight * slope
                    continue
                rest -= weight * slope
                near = min(ONE, (distance / damped) * (distance / damped))
                place = seen_starts[ray] + number
                numbers[place] = sample
                d_raw[place] = (light * slope - rest) * step * density[sample] * near
                d_output[place, 0] = weight * d_red * red * (ONE - red) * near
                d_output[place, 1] = weight * d_green * green * (ONE - green) * near
                d_output[place, 2] = weight * d_blue * blue * (ONE - blue) * near
                for axis in range(3):
                    seen_positions[axis, place] = positions[axis, sample]
