"""The frame of all commands, `python -m triptych.…`: arguments, one line for each error, exit code."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from triptych.workflow.errors import TriptychError


def run_command(
    parser: ArgumentParser, run: Callable[[Namespace], None], arguments: Sequence[str] | None = None
) -> int:
    """Parse the arguments, those of the command line by default, and run the command with them.

    Returns:
        The exit code: 0; 1 for a problem that the user can solve, which is printed; 130 after Ctrl-C. The
        parser itself ends with 2 for wrong arguments.
    """
    chosen = parser.parse_args(arguments)
    try:
        run(chosen)
    except TriptychError as error:
        problem = str(error)
    except OSError as error:  # the disk is full, or a file may not be written
        problem = ": ".join(
            str(part) for part in (error.filename2 or error.filename, error.strerror or error) if part
        )
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    for line in problem.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 1
