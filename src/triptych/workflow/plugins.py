"""Functions that users write and name in the config by their module, and errors in them."""

import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from triptych.workflow.errors import TriptychError

SOURCE = Path(__file__).parents[2]


def user_function(what: str, module: str, name: str, usage: str) -> Callable[..., Any]:
    """The function `name` of a module.

    Args:
        what: kind of module for the message, such as `architecture`.
        module, name: of the function.
        usage: signature for the message.

    Raises:
        TriptychError: there is no such module or function, or the module's own code fails.
    """
    label = f"{what} module '{module}'"
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        # what is missing may be something that the module itself imports
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise TriptychError(f"{label} cannot be imported: {error}; install it") from error
        raise TriptychError(f"{label}: {error}; name a module with {usage}") from error
    except Exception as error:
        raise TriptychError(f"{label} cannot be imported: {describe_error(error)}") from error
    return found


def check_call(
    label: str, function: Callable[..., Any], *arguments: Any, options: Mapping[str, Any], **keywords: Any
) -> None:
    """Check that a function accepts these arguments, without calling it.

    Args:
        label: names the function in the error.
        function: the user's.
        arguments, keywords: what the library passes.
        options: further keywords, from the user's config.

    Raises:
        TriptychError: it does not accept them.
    """
    try:
        inspect.signature(function).bind(*arguments, **keywords, **options)
    except TypeError as error:
        reason = str(error).removeprefix("inspect.Signature.bind() ")
        raise TriptychError(
            f"{label}: {reason}; check its arguments and the options in the config"
        ) from error


def in_user_module(error: BaseException) -> TriptychError | None:
    """The error for an exception that a user's module raised or that passed through it; None for others.

    A user's module is one under `src/` that is not the project's.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(SOURCE) and not path.is_relative_to(SOURCE / "triptych"):
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            reason = (str(error).splitlines() or [""])[0]
            return TriptychError(
                f"your module '{module}' fails: {type(error).__name__}: {reason} "
                f"({path.name}, line {frame.lineno})"
            )
    return None


def describe_error(error: Exception) -> str:
    """Type, message and line of an error that a user's code may have raised."""
    if isinstance(error, SyntaxError):
        file, line = error.filename or "?", error.lineno
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        file, line = last.filename, last.lineno
    reason = (str(error.msg if isinstance(error, SyntaxError) else error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {reason} ({Path(file).name}, line {line})"
