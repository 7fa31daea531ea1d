"""What the scripts of the workflow share: a log, and a user's mistake told in one line.

A step is a script, workflow/scripts/*.py, which Snakemake runs, or a function of `ares.launch`,
which a launcher such as accelerate starts.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from subprocess import PIPE, Popen
from typing import Any

from ares.config import Scale, load_config
from ares.errors import one_line


@contextmanager
def step(snakemake: Any) -> Iterator[Scale]:
    """Run a step: all that it and its children print goes to the terminal and to its log.

    Args:
        snakemake: what Snakemake gives to a script.

    Yields:
        The settings of the scale.

    Raises:
        SystemExit: the step failed; what went wrong is in the log.
    """
    with Popen(["tee", snakemake.log[0]], stdin=PIPE) as tee, ExitStack() as stack:
        for stream in (1, 2):
            kept = os.dup(stream)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, stream)
            os.dup2(tee.stdin.fileno(), stream)  # type: ignore[union-attr]
        stack.callback(sys.stdout.flush)
        stack.push(_told)
        with one_line():
            yield load_config(snakemake.config["scale"])


def _told(kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
    """Print the traceback of a mistake in the program while the log is still open."""
    if error is not None and not isinstance(error, SystemExit):
        traceback.print_exception(error)
        raise SystemExit(1) from None
