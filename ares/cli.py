"""The command `ares`: one subcommand per step of the workflow.

A module of `ares.workflow` registers its subcommands with `register(commands)`. The heavy imports
(torch, transformers, pandas) belong inside the functions it runs, so that `ares --help` and the
checks of a command line answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

import ares
import ares.workflow
from ares.errors import UserError, is_memory, refusal
from ares.terminal import printable

#: Characters of a message: it may repeat what a file holds.
LONGEST_MESSAGE = 2_000
NO_MEMORY = (
    "out of memory: run fewer jobs side by side (snakemake --cores), make the scale's batches "
    "smaller, or take a larger machine; the same command goes on from what is finished"
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `ares` with the subcommands of every module of `ares.workflow`."""
    parser = argparse.ArgumentParser(prog="ares", description=ares.__doc__)
    parser.add_argument("--version", action="version", version=f"ares {ares.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for found in sorted(pkgutil.iter_modules(ares.workflow.__path__), key=lambda it: it.name):
        importlib.import_module(f"ares.workflow.{found.name}").register(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status.

    0: done. 2: a mistake in what the user gave, a disk that refuses, or too little memory, told in
    one line.
    130: interrupted.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except UserError as error:
        told_in_one_line = printable(" ".join(str(error).split()))[:LONGEST_MESSAGE]
        print("ares: error:", told_in_one_line, file=sys.stderr)
        return 2
    except OSError as error:
        told = refusal(error, error.filename) if error.filename else None
        if told is None:
            raise
        print("ares: error:", told, file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        print("ares: error:", NO_MEMORY, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ares: interrupted", file=sys.stderr)
        return 130
    return 0
