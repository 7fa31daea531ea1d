"""The one exception that is meant for a person rather than for a programmer."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave: a config, a file, an argument.

    The message says what is wrong, where, and what to do about it, in one line. The command
    line prints it without a traceback and exits with status 2; inside a notebook it reads as
    any other exception.
    """
