"""Rows of a small parameter by number, such as one for each image."""

from torch import Tensor


def rows_of(parameter: Tensor, numbers: Tensor) -> Tensor:
    """`parameter[numbers]`, whose gradient has the same bits on any number of a CPU's threads.

    There the gradient of plain indexing is added up by several threads at once, in the order in which they
    come; that of `index_select` by one, in the order of `numbers`. On CUDA it is the other way round.

    Args:
        parameter: (rows, m), floating-point.
        numbers: (n,) int64.

    Returns:
        (n, m), of the type of `parameter`.
    """
    return parameter[numbers] if parameter.is_cuda else parameter.index_select(0, numbers)
