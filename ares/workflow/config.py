"""`ares config`: show what a scale means once it is checked and its defaults are filled in."""

from __future__ import annotations

import argparse

import yaml

from ares.config import load_config, scales


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `config`."""
    parser = commands.add_parser("config", help="check a config and print it, defaults included")
    parser.add_argument(
        "scale", metavar="SCALE", help=f"one of {', '.join(scales())}, or the path of a YAML file"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the validated config as YAML."""
    print(yaml.safe_dump(load_config(options.scale), sort_keys=False), end="")
