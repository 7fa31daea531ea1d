"""`ares rollouts`: sample responses to one shard of the problems."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `rollouts`."""
    parser = commands.add_parser(
        "rollouts", help="sample and grade responses to a shard of problems"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--problems", required=True, metavar="TABLE")
    parser.add_argument("--shard", required=True, type=int, metavar="N")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the rollouts of a shard; their ids are unique over all shards."""
    import numpy as np

    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.sampling.policy import load, sampling_of
    from ares.sampling.rollouts import check_tasks, roll_out, tasks_from_table
    from ares.tables import check_shard, read_form

    config = load_config(options.config, SMALL_WORLD)
    check_shard(options.shard, config["rollouts"]["shards"])
    problems = read_form(options.problems, "problems")
    mine = np.arange(options.shard, len(problems), config["rollouts"]["shards"])
    model, processor, world = load(config)
    tasks = tasks_from_table(problems.iloc[mine], look=config["seed"])
    check_tasks(tasks, world, options.problems)
    table = roll_out(
        model,
        processor,
        tasks,
        world,
        sampling_of(config),
        progress=f"rollouts {options.shard}",
    )
    samples = config["rollouts"]["samples"]
    table.insert(0, "rollout_id", np.repeat(mine, samples) * samples + table["sample"].to_numpy())
    write_table(options.out, table)
