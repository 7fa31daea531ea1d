"""`ares traces`: a pool of verified teacher traces of the problems whose pass rate is known."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `traces`."""
    parser = commands.add_parser("traces", help="collect verified traces of the teachers")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--pass-rates", required=True, metavar="TABLE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per trace that is right and fits."""
    from transformers import AutoTokenizer

    from ares.coldstart.pool import build_pool
    from ares.coldstart.teachers import SmallWorldTeachers
    from ares.config import load_config
    from ares.io import read_table, write_table
    from ares.sampling.rollouts import tasks_from_table
    from ares.world.settings import load_world

    config = load_config(options.config)
    world = load_world(config["world"])
    tasks = tasks_from_table(read_table(options.pass_rates), look=config["seed"])
    source = SmallWorldTeachers(world, config["adacs"]["traces"], config["seed"])
    from ares.paths import resolve
    tok = AutoTokenizer.from_pretrained(resolve(config["model"]))
    pool = build_pool(tasks, source, tok, world, config["aepo"]["max_new_tokens"], "traces")
    write_table(options.out, pool)
