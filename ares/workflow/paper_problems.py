"""`ares paper-problems`: choose the problems of a cold start, or the prompts of AEPO."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `paper-problems`."""
    parser = commands.add_parser(
        "paper-problems", help="choose problems from the data sets of a paper scale"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--use", required=True, choices=("cold-start", "aepo"))
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per problem, and tell what was left out.

    Raises:
        UserError: a data set that is not registered or can't be read, or none of its problems can
            be used, or nobody has traces for it.
    """
    import pandas as pd

    from ares.benchmarks.load import items
    from ares.config import PAPER, load_config
    from ares.errors import UserError
    from ares.io import write_table
    from ares.paperscale.problems import check_traces, choose, data_sets
    from ares.paperscale.processor import load_processor

    config = load_config(options.config, PAPER)
    if options.use == "cold-start":
        part, pictures = config["cold_start"], "both"
        wanted: dict[str, int | None] = dict(part["data"])
    else:
        part, pictures = config["aepo"], config["aepo"]["pictures"]
        wanted = dict.fromkeys(part["data"])
    sources = data_sets(config, list(wanted))
    if options.use == "cold-start":
        check_traces(config, sources)
    processor = load_processor(config["model"])
    tables = []
    for name, entry in sources.items():
        table, left_out = choose(
            items(entry),
            name,
            wanted[name],
            processor,
            part["max_prompt_tokens"],
            pictures,
            config["seed"],
            progress=name,
        )
        told = "; ".join(f"{number} left out: {why}" for why, number in left_out.items())
        print(f"{name}: {len(table)} problems{'; ' + told if told else ''}")
        if table.empty:
            raise UserError(f"data set '{name}': not one problem can be used ({told})")
        tables.append(table)
    write_table(options.out, pd.concat(tables, ignore_index=True))
