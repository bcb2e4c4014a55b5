"""The one exception that a user is meant to read."""


class TriptychError(Exception):
    """A problem the user can solve.

    The message is one line that says what is wrong, where, and how to fix it.
    Jobs print it without a traceback and exit with code 1.
    """
