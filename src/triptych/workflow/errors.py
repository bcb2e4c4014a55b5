"""The exception whose message is for the user, and plain words for some of Python's."""

import errno
import json
import os
import re

CALLER = "TRIPTYCH_CALLER"  # environment variable: the folder in which snakemake was called


class TriptychError(Exception):
    """A problem the user can solve.

    The message is one line that says what is wrong, where, and how to fix it.
    Jobs print it without a traceback and exit with code 1.
    """


# Messages of torch's allocator and oneDNN on a CPU, and of CUDA's libraries outside of torch's allocator.
NO_MEMORY = (
    "DefaultCPUAllocator",
    "not enough memory",
    "could not create a memory",
    "out of memory",
    "Cannot allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def with_absolute_paths(message: str) -> str:
    """A message whose paths below `results/` are absolute if snakemake was called in another folder."""
    if os.environ.get(CALLER) == os.getcwd():
        return message
    return re.sub(r"(?<![\w./-])results/", f"{os.getcwd()}/results/", message)


def one_line(text: str) -> str:
    r"""Text with spaces for tabs and line breaks, and `\x..` for what moves the cursor or is no Unicode."""
    odd = r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    return re.sub(odd, lambda match: f"\\x{ord(match[0]):02x}", re.sub(r"[\t-\r]", " ", text))


def printable(text: str, length: int = 200) -> str:
    """Text for messages and tables: one line of at most `length` characters; its middle may be missing."""
    plain = one_line(text)
    return plain if len(plain) <= length else f"{plain[: length // 2]}...{plain[10 - length // 2 :]}"


def without_passwords(text: str) -> str:
    """A text in which user names, passwords and queries of addresses are hidden."""
    return re.sub(r"(://[^\s'\"?]*)\?[^\s'\"]*", r"\1?...", re.sub(r"://[^\s'\"]*@", "://...@", text))


def file_problem(error: OSError, rule: str) -> str | None:
    """What the user can do about an error of the file system in a job; None if it is the program's fault."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        where = f" ({error.filename})" if error.filename else ""
        return f"disk full while writing the outputs of {rule}{where}; free some space and run again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE) and error.filename:
        return f"{error.filename}: {error.strerror}; check the disk and the permissions, and run again"
    return None


def malformed(error: Exception) -> str:
    """The reason why a JSON file cannot be read, from the exception of reading it."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if isinstance(error, KeyError):
        return f"the key {error} is missing"
    return f"{error}"[:200]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or torch means that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in NO_MEMORY)
