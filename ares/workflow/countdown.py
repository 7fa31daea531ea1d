"""`ares countdown`: the small world's problems as benchmarks, for `ares benchmark --registry`."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `countdown`."""
    parser = commands.add_parser(
        "countdown", help="write the small world's test problems as benchmarks"
    )
    parser.add_argument("--config", default="laptop", metavar="SCALE", help="world, levels, seed")
    parser.add_argument("--per-level", type=int, metavar="N", help="instead of the scale's own")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write questions, pictures and the registry file, and tell how to use it."""
    from ares.benchmarks.countdown import NAMES, write_countdown
    from ares.config import SMALL_WORLD, load_config
    from ares.world.settings import load_world

    config = load_config(options.config, SMALL_WORLD)
    registry = write_countdown(
        options.out,
        load_world(config["world"]),
        config["problems"]["levels"],
        options.per_level or config["evaluation"]["per_level"],
        config["seed"],
    )
    print(f"wrote {registry}; ares benchmark --registry {registry} --benchmarks", *NAMES.values())
