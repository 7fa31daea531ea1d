"""`ares sft`: fine-tune the base model on one curation of the cold start."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `sft`."""
    parser = commands.add_parser("sft", help="fine-tune the base model on selected traces")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--selection", required=True, metavar="TABLE")
    parser.add_argument("--curation", required=True, metavar="NAME", help="adacs or cs-vanilla")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write a model folder that `ares.model.load.load_policy` reads."""
    from pathlib import Path

    from ares.config import SMALL_WORLD, load_config
    from ares.errors import UserError
    from ares.tables import read_form

    config = load_config(options.config, SMALL_WORLD)
    selection = read_form(options.selection, "selection")
    chosen = selection[selection["curation"] == options.curation]
    if chosen.empty:
        raise UserError(
            f"{options.selection}: no curation '{options.curation}'; it holds "
            f"{', '.join(sorted(selection['curation'].unique())) or 'none'}"
        )

    from ares.coldstart.tune import fine_tune
    from ares.model.save import publish
    from ares.sampling.policy import load
    from ares.sampling.rollouts import check_tasks, tasks_from_table

    model, processor, world = load(config)
    check_tasks(tasks_from_table(chosen, look=config["seed"]), world, options.selection)
    steps = fine_tune(model, processor, chosen, config["adacs"], config["seed"], world.values)
    publish(model, processor, world, Path(options.out))
    first, last = steps.iloc[0], steps.iloc[-1]
    print(
        f"{options.curation}: {len(chosen)} examples, "
        f"loss {first['loss']:.3f} to {last['loss']:.3f} nats per token"
    )
