"""`ares evaluate`: how right, how long and how uncertain a model answers the test problems."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `evaluate`."""
    parser = commands.add_parser("evaluate", help="test a model on the held-out problems")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--model", required=True, metavar="FOLDER", help="or a name on the hub")
    parser.add_argument("--arm", required=True, metavar="NAME", help="for the column arm")
    parser.add_argument("--seed", required=True, type=int, metavar="N", help="for the column seed")
    parser.add_argument(
        "--threshold-from",
        metavar="TABLE",
        help="evaluation of the base model, whose entropy threshold counts the HWE tokens; "
        "without it, the threshold comes from this model's own responses",
    )
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per test problem and presentation, and say where a level has too few."""
    from ares.analysis.evaluation import Yardstick, evaluate, evaluation_sampling, evaluation_tasks
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.sampling.policy import load
    from ares.tables import read_form

    config = load_config(options.config, SMALL_WORLD)
    threshold_from = options.threshold_from
    yardstick = Yardstick.of(read_form(threshold_from, "evaluation")) if threshold_from else None
    model, processor, world = load(config.model_copy(update={"model": options.model}))
    tasks = evaluation_tasks(config, world)
    for line in shortages(config, tasks):
        print(line)
    table = evaluate(
        model,
        processor,
        tasks,
        world,
        evaluation_sampling(config),
        yardstick,
        progress=f"testing {options.arm}, seed {options.seed}",
    )
    table.insert(0, "arm", options.arm)
    table.insert(1, "seed", options.seed)
    write_table(options.out, table)


def shortages(config: dict, tasks: list) -> list[str]:
    """What to tell the user about levels with fewer test problems than were asked for."""
    wanted = config["evaluation"]["per_level"]
    found = {
        level: len({task.problem.id for task in tasks if task.level == level})
        for level in config["problems"]["levels"]
    }
    return [
        f"level '{level}': {number} test problems, {wanted} were asked for; taking them all"
        for level, number in found.items()
        if number < wanted
    ]
