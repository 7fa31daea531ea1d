"""What the steps of the workflow share: a log, and a user's mistake told in one line.

Most steps are scripts, workflow/scripts/*.py, which Snakemake runs. Those that a launcher such as
accelerate starts are the modules of this package: `python -m ares.steps.train --config ...`.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
    with Popen(["tee", snakemake.log[0]], stdin=PIPE) as tee:
        terminal = os.dup(1), os.dup(2)
        for stream in (1, 2):
            os.dup2(tee.stdin.fileno(), stream)  # type: ignore[union-attr]
        try:
            with one_line():
                yield load_config(snakemake.config["scale"])
        except Exception:  # nothing is hidden: the traceback belongs into the log as well
            traceback.print_exc()
            raise SystemExit(1) from None
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, kept in enumerate(terminal, start=1):
                os.dup2(kept, stream)
                os.close(kept)


def options(purpose: str | None, *names: str, optional: tuple[str, ...] = ()) -> argparse.Namespace:
    """Return the command line of a step that a launcher starts: every option takes a text."""
    parser = argparse.ArgumentParser(description=purpose)
    for name in (*names, *optional):
        parser.add_argument(f"--{name}", required=name not in optional)
    return parser.parse_args()
