"""Command lines that rules and pages hold, read without being run."""

import typer

from ares import cli


def check_command(words: list[str]) -> None:
    """Fail if `ares` does not take what follows it."""
    commands = typer.main.get_command(cli.app).commands
    commands[words[0]].make_context(words[0], list(words[1:]))
