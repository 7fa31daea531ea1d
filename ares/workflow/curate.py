"""`ares curate`: select the traces of both cold starts, AdaCS and the length-blind baseline."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `curate`."""
    parser = commands.add_parser("curate", help="select the cold start's traces from the pool")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--pass-rates", required=True, metavar="TABLE")
    parser.add_argument("--pool", required=True, metavar="TABLE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write both curations into one table and print what every bracket gave."""
    import pandas as pd

    from ares.coldstart.curate import CURATIONS, curate, with_pass_rates
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.tables import check_samples, read_form

    config = load_config(options.config, SMALL_WORLD)
    settings = config["adacs"]
    pool = read_form(options.pool, "pool", "numbers", "target", "text")
    pass_rates = read_form(options.pass_rates, "pass_rates")
    check_samples(pass_rates, settings["samples"], options.pass_rates)
    traces = with_pass_rates(pool, pass_rates)
    found = [
        curate(traces, curation, settings["size"], settings["samples"], config["seed"])
        for curation in CURATIONS
    ]
    for curation, (selection, report) in zip(CURATIONS, found, strict=True):
        print(report.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        print(f"{curation}: {len(selection)} of {settings['size']} examples selected")
    write_table(options.out, pd.concat([table for table, _ in found], ignore_index=True))
