"""Memory: an allocator setting that makes CPU training faster, and advice when a batch does not fit."""

import ctypes
import gc
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from triptych.training.distributed import world_size
from triptych.workflow.errors import TriptychError, is_out_of_memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
KEPT_BYTES = 2**30
OLD_GLIBC_MAX = 2**25  # the largest M_MMAP_THRESHOLD that older versions of glibc accept, see mallopt(3)


def keep_large_allocations() -> None:
    """Let this process reuse freed memory instead of returning it; no effect without glibc.

    About a fifth faster on a CPU: by default glibc maps and zeroes fresh pages for every allocation above
    its thresholds, so each layer of each step would pay for its memory again. Use it for work whose large
    tensors have the same shapes in every step; with varying shapes memory only grows.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        if not mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
            mallopt(M_MMAP_THRESHOLD, OLD_GLIBC_MAX)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def release(error: BaseException) -> None:
    """Free the memory that a failed computation still holds in the frames of its traceback."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def largest_that_fits(attempt: Callable[[int], object], size: int) -> int:
    """The largest of size / 2, size / 4, ... down to 2 for which `attempt` finds memory; 0 for none."""
    while (size := size // 2) >= 2:
        try:
            attempt(size)
            return size
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            release(error)
    return 0


@contextmanager
def out_of_memory_advice(
    try_size: Callable[[int], object], *, label: str, device: torch.device, batch_size: int, accumulate: int
) -> Iterator[None]:
    """Turn exhausted memory in the body, a step with a batch, into a `TriptychError` that names what fits.

    `try_size(n)` runs forward and backward on n images; `batch_size` and `accumulate` are the recipe's.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        release(error)
        message = f"{label}: out of memory on {device} with batch_size {batch_size}"
        if accumulate > 1:
            message += f" in {accumulate} micro-batches"
        if world_size() > 1:  # a trial would need all of them
            raise TriptychError(
                f"{message} over {world_size()} workers; lower batch_size, or raise accumulate to keep it"
            ) from None
        fits = largest_that_fits(try_size, math.ceil(batch_size / accumulate))
        raise TriptychError(message + _advice(batch_size, accumulate, fits)) from None


def _advice(batch_size: int, accumulate: int, fits: int) -> str:
    """The advice for an error message; `fits` is a number of images that fits into memory (0: none does)."""
    if fits == 0:
        return "; no smaller batch was found to fit either: use a smaller model or smaller images"
    advice = f"; {fits} images at a time fit: set batch_size: {fits * accumulate}"
    micro_batches = math.ceil(batch_size / fits)
    if 2 * micro_batches <= batch_size:  # each needs two images
        advice += f", or accumulate: {micro_batches} to keep the batch size"
    return advice
