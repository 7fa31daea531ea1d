"""`ares paper-traces`: verified traces for a cold start, the data sets' own or teachers'."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `paper-traces`."""
    parser = commands.add_parser("paper-traces", help="collect verified traces at a paper scale")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--problems", required=True, metavar="TABLE")
    parser.add_argument("--shard", required=True, type=int, metavar="N")
    parser.add_argument("--store", required=True, metavar="FILE", help="answers are kept here")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per trace that is right and fits, and tell what was left out."""
    from ares.config import PAPER, load_config
    from ares.io import write_table
    from ares.paperscale.problems import ChosenItems, data_sets, shard_of
    from ares.paperscale.processor import load_processor
    from ares.paperscale.traces import collect
    from ares.tables import read_form

    config = load_config(options.config, PAPER)
    chosen = read_form(options.problems, "paper_problems")
    problems = shard_of(chosen, options.shard, config["cold_start"]["shards"])
    items = ChosenItems(problems, data_sets(config, problems["source"].unique().tolist()))
    tokenizer = load_processor(config["model"]).tokenizer
    table, left_out = collect(config, problems, items, tokenizer, options.store)
    write_table(options.out, table)
    solved = len(table.groupby(["source", "row"]))
    print(f"{len(table)} traces of {solved} of {len(problems)} problems")
    for why, number in left_out.items():
        print(f"  {number} left out: {why}")
