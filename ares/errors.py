"""The one exception that is meant for a person rather than for a programmer, and text that is safe
on a terminal.

What a model, a server or a file says may hold escape sequences that move the cursor, retitle the
window or hide text, and marks that reverse the reading direction. It is shown, never obeyed: all of
them are written out as codes.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Controls but tab and line feed; C1 controls; marks that change the direction of text; line ends
#: that are none for a terminal; surrogates, which no encoder takes.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: What a disk or its access rights say no with; any other OSError is a mistake in the program.
REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE),
)


def printable(text: str) -> str:
    r"""The text with everything that a terminal would act on written out as codes.

    >>> printable("red \x1b[31m\r\n")
    'red \\x1b[31m\\r\n'
    >>> printable("\u202etxt.exe")
    '\\u202etxt.exe'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


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


def refusal(number: int | None, path: str | Path) -> UserError | None:
    """What the disk or its access rights refused, as a message; None if that is not what it was.

    Args:
        number: `errno` of the error.

    >>> print(refusal(28, "a.csv"))
    a.csv: No space left on device; free some, or write elsewhere; what was there before is intact
    """
    if number is None or number not in REFUSALS:
        return None
    room = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free some, or write elsewhere" if room else "look at the disk and at its rights"
    return UserError(f"{path}: {os.strerror(number)}; {advice}; what was there before is intact")


#: Characters of a message: it may repeat what a file holds.
LONGEST_MESSAGE = 2_000
NO_MEMORY = (
    "out of memory: run fewer jobs side by side (snakemake --cores), make the scale's batches "
    "smaller, or take a larger machine; the same command goes on from what is finished"
)
#: Errors that a user may be able to mend; `message` knows.
MENDABLE = (UserError, OSError, MemoryError, RuntimeError, ModuleNotFoundError)


def message(error: BaseException) -> str | None:
    """What to tell the user about an error; None where it is a mistake in the program."""
    if isinstance(error, OSError):
        refused = refusal(error.errno, error.filename) if error.filename else None
        return str(refused) if refused else None
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("ares"):
        return f"{error.name} is missing: pip install 'ares[eval,train,workflow]' brings everything"
    return NO_MEMORY if is_memory(error) else None


def tell(what: str) -> None:
    """Print an error in one line."""
    line = printable(" ".join(what.split()))[:LONGEST_MESSAGE]
    print("ares: error:", line, file=sys.stderr)


@contextmanager
def one_line() -> Iterator[None]:
    """End the program with one line where what went wrong is no mistake of its own.

    Raises:
        SystemExit: 1 when nobody reads the output any more; 2 for a mistake in what the user gave,
            a disk that refuses, or too little memory; 130 for an interruption.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("ares: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # Python would complain about the rest of the output when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except MENDABLE as error:
        told = message(error)
        if told is None:
            raise
        tell(told)
        raise SystemExit(2) from None
