"""`ares paper-pass-rates`: how often the base model solves the problems of a cold start."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `paper-pass-rates`."""
    parser = commands.add_parser(
        "paper-pass-rates", help="measure the base model's pass rates at a paper scale"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--problems", required=True, metavar="TABLE")
    parser.add_argument("--shard", required=True, type=int, metavar="N")
    parser.add_argument("--store", required=True, metavar="FILE", help="answers are kept here")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per problem of the shard that got all its responses."""
    from ares.answers.grader import Grader
    from ares.backends.base import Decoding
    from ares.backends.choose import open_backend
    from ares.backends.store import Kept, Store
    from ares.benchmarks.run import answered
    from ares.config import PAPER, load_config
    from ares.io import write_table
    from ares.paperscale.backends import sampling_choice
    from ares.paperscale.pass_rates import measure
    from ares.paperscale.problems import ChosenItems, data_sets, shard_of
    from ares.tables import read_form

    config = load_config(options.config, PAPER)
    part = config["cold_start"]
    problems = shard_of(
        read_form(options.problems, "paper_problems"), options.shard, part["shards"]
    )
    chosen = ChosenItems(problems, data_sets(config, problems["source"].unique().tolist()))
    decoding = Decoding(
        max_tokens=part["max_new_tokens"], temperature=part["temperature"], top_p=part["top_p"]
    )
    with Grader() as grader, Store(options.store) as store:
        backend = Kept(open_backend(sampling_choice(config)), store)
        answers = answered(
            chosen, backend, grader, decoding, part["samples"], config["seed"], "pass rates"
        )
        table = measure(problems, answers)
    write_table(options.out, table)
    lost = len(problems) - len(table)
    print(
        f"{len(table)} problems, mean pass rate {table['pass_rate'].mean():.3f}, "
        f"{table['ungradable'].sum()} of {table['samples'].sum()} responses ungradable"
        + (f"; {lost} problems left out for requests that failed: run again" if lost else "")
    )
