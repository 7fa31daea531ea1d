"""`ares paper-curate`: select the traces of both cold starts at a paper scale."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `paper-curate`."""
    parser = commands.add_parser(
        "paper-curate", help="select the cold start's traces at a paper scale"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--pass-rates", required=True, metavar="TABLE")
    parser.add_argument("--pool", required=True, metavar="TABLE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write both curations into one table and print what every bracket gave."""
    from ares.coldstart.curate import with_pass_rates
    from ares.config import PAPER, load_config
    from ares.io import write_table
    from ares.paperscale.curate import known_only, select
    from ares.tables import read_form

    config = load_config(options.config, PAPER)
    part = config["cold_start"]
    pass_rates = read_form(options.pass_rates, "paper_pass_rates")
    pool = known_only(read_form(options.pool, "paper_pool"), pass_rates)
    table, report = select(
        with_pass_rates(pool, pass_rates, "source"), part["size"], part["samples"], config["seed"]
    )
    print(report.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for curation, number in table["curation"].value_counts(sort=False).items():
        print(f"{curation}: {number} of {part['size']} examples selected")
    write_table(options.out, table)
