"""What to say when a batch does not fit: a size that does, found by trying."""

import gc
import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from triptych.training.distributed import alone, world_size
from triptych.workflow.errors import TriptychError, is_out_of_memory


def release(error: BaseException) -> None:
    """Free what the failed computation still holds: its frames live on in the traceback."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def largest_that_fits(attempt: Callable[[int], object], size: int) -> int:
    """The largest of size / 2, size / 4, ... down to 2 for which `attempt` finds memory; 0 for none.

    Raises:
        Exception: whatever `attempt` raises for other reasons than memory.
    """
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
def explained(
    try_size: Callable[[int], object], *, label: str, device: torch.device, batch_size: int, accumulate: int
) -> Iterator[None]:
    """Turn want of memory in the body, a step with a batch, into `advice`.

    Args:
        try_size: runs forwards and backwards on so many images, by this worker alone.
        label, device, batch_size, accumulate: see `advice`.

    Raises:
        TriptychError: the batch does not fit.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        release(error)
        workers = world_size()
        with alone():  # the others wait for this worker, or try, too
            fits = workers * largest_that_fits(try_size, math.ceil(batch_size / accumulate / workers))
        raise advice(
            label, device, batch_size=batch_size, accumulate=accumulate, workers=workers, fits=fits
        ) from None


def advice(
    label: str, device: torch.device, *, batch_size: int, accumulate: int, workers: int, fits: int
) -> TriptychError:
    """The error to end with; `fits` images at a time, over all workers, are known to fit (0: none)."""
    told = f"{label}: out of memory on {device} with batch_size {batch_size}"
    if accumulate > 1:
        told += f" in {accumulate} pieces"
    if workers > 1:
        told += f" over {workers} workers"
    if fits == 0:
        return TriptychError(
            f"{told}; no smaller batch was found to fit either: take a smaller model or images"
        )
    told += f"; {fits} images at a time fit: set batch_size: {fits * accumulate}"
    # Every worker needs two images of a piece, and several workers equal shares of equal pieces.
    for pieces in range(math.ceil(batch_size / fits), batch_size // (2 * workers) + 1):
        if workers == 1 or batch_size % (workers * pieces) == 0:
            return TriptychError(f"{told}, or accumulate: {pieces} to keep the batch size")
    return TriptychError(told)
