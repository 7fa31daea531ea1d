"""`ares pass-rates`: how often the base model solves each training problem."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `pass-rates`."""
    parser = commands.add_parser(
        "pass-rates", help="measure the base model's pass rates on training problems"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per training problem and presentation."""
    from ares.coldstart.pass_rates import measure, sampling_for, training_tasks
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.sampling.policy import load

    config = load_config(options.config, SMALL_WORLD)
    model, processor, world = load(config)
    tasks = training_tasks(config, world)
    told = {level: len({t.problem.id for t in tasks if t.level == level}) for level in world.levels}
    print("training problems: " + ", ".join(f"{level} {number}" for level, number in told.items()))
    table = measure(model, processor, tasks, world, sampling_for(config), progress="pass rates")
    write_table(options.out, table)
