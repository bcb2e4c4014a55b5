"""The upper limit of a training step's speed: a large matrix product in the same number format.

That is bfloat16, or float32 where the hardware has no units for it.
"""

import time
from collections.abc import Callable

import torch

from triptych.workflow.devices import has_fast_bfloat16

SIDE = 4096
PRODUCT_FLOPS = 2 * SIDE**3


def matmul_seconds(device: torch.device) -> Callable[[int], float]:
    """A function that times a number of products and returns the seconds of one."""
    dtype = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    square = torch.rand(SIDE, SIDE, device=device, dtype=dtype)

    def seconds(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            product = square @ square
        product[0, 0].item()
        return (time.perf_counter() - began) / times

    return seconds
