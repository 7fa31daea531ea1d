"""The command `ares`, for people; every command is a function of a module in this folder.

The heavy imports (torch, transformers, pandas) belong inside the functions, so that `ares --help`
and mistakes on the command line are answered at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import ares
from ares.cli.analyze import analyze
from ares.cli.ask import ask
from ares.cli.benchmark import benchmark, countdown
from ares.cli.compare import compare
from ares.cli.infer import infer
from ares.cli.models import estimate, export
from ares.cli.runs import config, report, summary
from ares.errors import MENDABLE, message, tell

COMMANDS = {
    "Ask a model": (ask, infer),
    "Evaluate": (benchmark, countdown, analyze),
    "Runs of the workflow": (config, summary, report, compare),
    "Models": (estimate, export),
}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for _panel, _functions in COMMANDS.items():
    for _function in _functions:
        app.command(rich_help_panel=_panel)(_function)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ares {ares.__version__}")
        raise typer.Exit


@app.callback(help=ares.__doc__)
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; see `status_of`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return status_of(lambda: app(given, prog_name="ares", standalone_mode=False))


def status_of(action: Callable[[], int | None]) -> int:
    """Run an action; what a user can mend is told in one line.

    0: done. 1: nobody reads the output any more. 2: a mistake in what the user gave, a disk that
    refuses, or too little memory. 130: interrupted.
    """
    try:
        status = action() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # Python would complain about the rest of the output when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (typer.TyperException, *MENDABLE) as error:
        if isinstance(error, typer.TyperException):
            told: str | None = error.format_message()
        else:
            told = message(error)
        if told is None:
            raise
        tell(told)
        return 2
    if status == 130:
        print("ares: interrupted", file=sys.stderr)
    return status
