"""The one exception that a user is meant to read, and how others are put to them."""

import json


class TriptychError(Exception):
    """A problem the user can solve.

    The message is one line that says what is wrong, where, and how to fix it.
    Jobs print it without a traceback and exit with code 1.
    """


# As torch's allocator and oneDNN put it on a CPU, and CUDA's libraries where torch did not ask for it.
NO_MEMORY = (
    "DefaultCPUAllocator",
    "not enough memory",
    "could not create a memory",
    "out of memory",
    "Cannot allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def malformed(error: Exception) -> str:
    """What an exception of reading a JSON file says about it, in a few plain words."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if isinstance(error, KeyError):
        return f"the key {error} is missing"
    return f"{error}"[:200]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error, Python's or torch's, says that memory could not be had."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in NO_MEMORY)
