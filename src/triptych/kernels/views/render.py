"""Random views of images, one at a time from bytes to normalised pixels while it is in the cache."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.augment.geometry import blur_weights
from triptych.augment.views import Parameters
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.views.blur import blur
from triptych.kernels.views.color import jitter, remove_color
from triptych.kernels.views.resample import LANES, crop_resize_flip, resample_buffers

VIEWS = 16  # views per task
ONE = np.float32(1)


@kernel
def render(
    task, images, boxes, mirrored, jittered, factors, order, grey, blurred, blur_weights, mean, std, views
):
    """Render VIEWS of the views (N, size, size, 3), v of image v modulo B; arguments as in `Parameters`."""
    size = views.shape[1]
    pixels = size * size
    buffers = resample_buffers(images.shape[1], images.shape[2], size)
    planes = np.empty((3, pixels + LANES), np.float32)
    lines = np.empty((size, size), np.float32)
    line = np.empty(size + blur_weights.shape[1] - 1, np.float32)
    for number in range(task * VIEWS, min(len(views), (task + 1) * VIEWS)):
        top, left, height, width = boxes[number]
        image = images[number % len(images)]
        crop_resize_flip(image, top, left, height, width, mirrored[number], size, buffers, planes)
        red, green, blue = planes[0, :pixels], planes[1, :pixels], planes[2, :pixels]
        if jittered[number]:
            jitter(red, green, blue, factors[number], order[number])
        if grey[number]:
            remove_color(red, green, blue)
        if blurred[number]:
            for channel in range(3):
                blur(planes[channel], size, blur_weights[number], lines, line)
        view = views[number]
        for channel in range(3):
            plane, centre, scale = planes[channel], mean[channel], ONE / std[channel]
            for y in range(size):
                for x in range(size):
                    view[y, x, channel] = (plane[x * size + y] - centre) * scale


def render_views(
    images: Tensor, parameters: Parameters, *, size: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """As `triptych.augment.views.render_views`, to rounding; the same bits on any number of threads."""
    n = len(parameters.boxes)
    views = torch.empty(n, size, size, 3)
    arguments = (
        images.permute(0, 2, 3, 1).contiguous(),
        parameters.boxes,
        parameters.mirrored,
        parameters.jittered,
        parameters.factors,
        parameters.order,
        parameters.grey,
        parameters.sigma > 0,
        blur_weights(parameters.sigma, size),
        torch.tensor(mean, dtype=torch.float32),
        torch.tensor(std, dtype=torch.float32),
        views,
    )
    parallel(render, -(-n // VIEWS), *(tensor.numpy() for tensor in arguments))
    return views.permute(0, 3, 1, 2)
