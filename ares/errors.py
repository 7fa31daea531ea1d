"""The one exception that is meant for a person rather than for a programmer."""

from __future__ import annotations

import errno
import os
from pathlib import Path

#: What a disk or its access rights say no with; any other OSError is a mistake in the program.
REFUSALS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM"),
        *("ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP", "ESTALE"),
    )
    if hasattr(errno, name)
)


class UserError(Exception):
    """A mistake in what the user gave: a config, a file, an argument.

    The message says what is wrong, where, and what to do about it, in one line. The command
    line prints it without a traceback and exits with status 2; inside a notebook it reads as
    any other exception.
    """


def is_memory(error: BaseException) -> bool:
    """Whether memory was short; on a CPU torch raises a plain RuntimeError then.

    >>> is_memory(MemoryError()), is_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    # By name, as this module loads no torch.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def refusal(error: OSError, path: str | Path) -> UserError | None:
    """What the disk or its access rights refused, as a message; None if that is not what it was.

    Args:
        path: to name where the error names no file.

    >>> print(refusal(OSError(28, "No space left on device"), "a.csv"))
    a.csv: No space left on device; free some, or write elsewhere; what was there before is intact
    """
    if error.errno is None or error.errno not in REFUSALS:
        return None
    room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free some, or write elsewhere" if room else "look at the disk and at its rights"
    return UserError(
        f"{path}: {os.strerror(error.errno)}; {advice}; what was there before is intact"
    )
