"""How often the base model solves the problems of one shard of the cold start."""

from __future__ import annotations

from ares.config import load_config
from ares.errors import one_line
from ares.io import write_table
from ares.steps import options


def main() -> None:
    """Write one row per problem that got all its responses."""
    given = options(__doc__, "config", "problems", "shard", "store", "out")
    scale = load_config(given.config)

    from ares.coldstart.pass_rates import measure
    from ares.data.problems import read_problems

    problems = read_problems(scale, given.problems).shard(int(given.shard), scale.cold_start.shards)
    write_table(given.out, measure(scale, problems, given.store, "pass rates"))


if __name__ == "__main__":
    with one_line():
        main()
