"""`ares findings`: judge the findings of a run by the rule book."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `findings`."""
    parser = commands.add_parser("findings", help="judge the findings by config/findings.yaml")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--tables", required=True, metavar="FOLDER")
    parser.add_argument("--out", required=True, metavar="TABLE", help="numbers and verdicts (csv)")
    parser.add_argument("--seeds-out", metavar="TABLE", help="the numbers of every seed (csv)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the verdicts and say how many there are of each.

    Raises:
        UserError: a table is missing, or the rule book is wrong.
    """
    from ares.analysis.findings import Run, judge, load_rules, per_seed, table
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table

    settings, rules = load_config(options.config, SMALL_WORLD), load_rules()
    judged = judge(Run.of(options.tables, settings, rules), rules)
    write_table(options.out, as_text(table(judged, settings["scale"])))
    if options.seeds_out:
        write_table(options.seeds_out, as_text(per_seed(judged)))
    for entry in judged:
        print(f"{entry.finding.id}: {entry.verdict}")


def as_text(table):
    """Write floats as text of six digits, with `nan` where there is none.

    `ares.io.read_table` takes `nan` for a missing number; an empty field would make its column
    one of text.
    """
    floats = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].map("{:.6g}".format) for name in floats})
