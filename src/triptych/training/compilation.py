"""`torch.compile`; a model that cannot be compiled runs uncompiled."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

log = logging.getLogger("triptych")

T = TypeVar("T")

MAX_SHAPES = 64  # input shapes that are compiled; further ones run uncompiled


def compile_in_place(model: nn.Module) -> None:
    """Compile the model at its next calls; parameters and their names stay as they are.

    Each input shape is compiled separately: whether torch compiles for dynamic shapes depends on
    which shapes came before, so a resumed run would differ in its last bits.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MAX_SHAPES
    model.compile(dynamic=False)


def with_uncompiled_fallback(model: nn.Module, attempt: Callable[[], T]) -> T:
    """Run `attempt`; if the compiler fails, warn, leave the model uncompiled and run `attempt` again.

    Buffers that the failed attempt may have changed are restored. Up to the end of the model's backward
    pass `attempt` must not change anything else.
    """
    if model._compiled_call_impl is None:
        return attempt()
    buffers = [buffer.clone() for buffer in model.buffers()]
    try:
        return attempt()
    except Exception as error:
        if not _is_from_compiler(error):
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        log.warning("the model cannot be compiled here and runs uncompiled: %s", reason)
    leave_uncompiled(model)
    for buffer, kept in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(kept)
    return attempt()


def leave_uncompiled(model: nn.Module) -> None:
    """Run the model uncompiled from now on."""
    model._compiled_call_impl = None


@contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Run the model uncompiled within: evaluations have other shapes, which would be compiled, too."""
    compiled = model._compiled_call_impl
    leave_uncompiled(model)
    try:
        yield
    finally:
        model._compiled_call_impl = compiled


def _is_from_compiler(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "torch._functorch")):
            return True
        error = error.__cause__
    return False
