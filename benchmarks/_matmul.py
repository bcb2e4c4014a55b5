"""The ceiling that training steps are held against: a large bfloat16 matrix product."""

import time
from collections.abc import Callable

import torch

SIDE = 4096
PRODUCT_FLOPS = 2 * SIDE**3


def matmul_seconds(device: torch.device) -> Callable[[int], float]:
    """Times a number of products; gives the seconds of one."""
    square = torch.rand(SIDE, SIDE, device=device, dtype=torch.bfloat16)

    def seconds(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            product = square @ square
        product[0, 0].item()
        return (time.perf_counter() - began) / times

    return seconds
