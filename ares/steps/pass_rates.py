"""How often the base model solves the problems of one shard of the cold start."""

from __future__ import annotations

from argparse import Namespace

import pandas as pd

from ares.config import Scale, load_config
from ares.errors import one_line
from ares.io import write_table
from ares.steps import options


def main() -> None:
    """Write one row per problem that got all its responses."""
    given = options(__doc__, "config", "shard", "out", optional=("problems", "store"))
    config = load_config(given.config)
    measure = of_data_sets if config.of_data_sets else of_small_world
    write_table(given.out, measure(config, given))


def of_small_world(config: Scale, given: Namespace) -> pd.DataFrame:
    """Pass rates on training problems of the small world."""
    from ares.coldstart.pass_rates import measure, sampling_for, training_tasks
    from ares.sampling.policy import load

    model, processor, world = load(config)
    tasks = training_tasks(config, world)
    told = {level: len({t.problem.id for t in tasks if t.level == level}) for level in world.levels}
    print("training problems: " + ", ".join(f"{level} {number}" for level, number in told.items()))
    return measure(model, processor, tasks, world, sampling_for(config), progress="pass rates")


def of_data_sets(config: Scale, given: Namespace) -> pd.DataFrame:
    """Pass rates on the problems of data sets; a request that failed leaves its problem out."""
    from ares.answers.grader import Grader
    from ares.backends.base import Decoding
    from ares.backends.choose import open_backend
    from ares.backends.store import Kept, Store
    from ares.benchmarks.run import answered
    from ares.paperscale.backends import sampling_choice
    from ares.paperscale.pass_rates import measure
    from ares.paperscale.problems import ChosenItems, data_sets, shard_of
    from ares.tables import read_form

    part = config.cold_start
    chosen = read_form(given.problems, "paper_problems")
    problems = shard_of(chosen, int(given.shard), part.shards)
    items = ChosenItems(problems, data_sets(config, problems["source"].unique().tolist()))
    decoding = Decoding(
        max_tokens=part.max_new_tokens, temperature=part.temperature, top_p=part.top_p
    )
    with Grader() as grader, Store(given.store) as store:
        backend = Kept(open_backend(sampling_choice(config)), store)
        answers = answered(
            items, backend, grader, decoding, part.samples, config.seed, "pass rates"
        )
        table = measure(problems, answers)
    lost = len(problems) - len(table)
    print(
        f"{len(table)} problems, mean pass rate {table['pass_rate'].mean():.3f}, "
        f"{table['ungradable'].sum()} of {table['samples'].sum()} responses ungradable"
        + (f"; {lost} problems left out for requests that failed: run again" if lost else "")
    )
    return table


if __name__ == "__main__":
    with one_line():
        main()
