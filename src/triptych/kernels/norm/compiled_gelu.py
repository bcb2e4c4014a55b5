"""The Gaussian error linear unit in bfloat16, by tables: there are only 65,536 arguments.

Numbers are bfloat16 seen as uint16. A task is a slice of them.
"""

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import narrow, widen


@kernel
def look_up(task, size, table, x, y):
    """Write table[x] to y."""
    part, target = x[task * size : (task + 1) * size], y[task * size : (task + 1) * size]
    for place in range(len(part)):
        target[place] = table[part[place]]


@kernel
def scale_by(task, size, slopes, x, dy, dx):
    """Write dy * slopes[x] to dx; slopes are float32."""
    part, target = x[task * size : (task + 1) * size], dx[task * size : (task + 1) * size]
    gradient = dy[task * size : (task + 1) * size]
    for place in range(len(part)):
        target[place] = narrow(widen(gradient[place]) * slopes[part[place]])
