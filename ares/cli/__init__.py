"""The command `ares`, for people; every command is a function of a module in this folder.

The heavy imports (torch, transformers, pandas) belong inside the functions, so that `ares --help`
and mistakes on the command line are answered at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import ares
from ares.cli.analyze import analyze
from ares.cli.ask import ask
from ares.cli.benchmark import benchmark, countdown
from ares.cli.compare import compare
from ares.cli.grade import grade
from ares.cli.infer import infer
from ares.cli.models import estimate, export
from ares.cli.runs import config, report, summary
from ares.errors import one_line, tell

COMMANDS = {
    "Ask a model": (ask, infer),
    "Evaluate": (benchmark, countdown, grade, analyze),
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
    """Run one command and return the exit status; see `one_line`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with one_line():
            status = app(given, prog_name="ares", standalone_mode=False) or 0
            if status == 130:  # typer has caught it
                raise KeyboardInterrupt
            return status
    except typer.TyperException as error:
        tell(error.format_message())
        return 2
    except SystemExit as end:
        return int(end.code or 0)
