"""Command lines that rules and pages hold, read without being run."""

from __future__ import annotations

import pkgutil

import typer

import ares.workflow
from ares import cli


def check_command(words: list[str]) -> None:
    """Fail if `ares` does not take what follows it."""
    steps = {found.name for found in pkgutil.iter_modules(ares.workflow.__path__)}
    if words[0].replace("-", "_") in steps:
        cli.build_parser().parse_args(words)
    else:
        commands = typer.main.get_command(cli.app).commands
        commands[words[0]].make_context(words[0], list(words[1:]))
