"""A pool of traces from teachers of your own, for problems whose pass rate is known.

    python -m ares.steps.traces --config laptop --pass-rates results/laptop/pass_rates.parquet \\
        --endpoint http://127.0.0.1:8000/v1 --teacher MODEL --out results/laptop/pool/0.parquet
"""

from __future__ import annotations

import argparse
import sys

from ares.backends.budget import Budget
from ares.backends.store import Store
from ares.coldstart.endpoint import ChatEndpoint, EndpointTeacher, Manner
from ares.coldstart.pool import build_pool
from ares.config import SMALL_WORLD, Scale, load_config
from ares.errors import one_line
from ares.io import write_table
from ares.paths import resolve
from ares.sampling.policy import load
from ares.sampling.rollouts import check_tasks, tasks_from_table
from ares.tables import read_form
from ares.world.settings import World


def options() -> argparse.Namespace:
    """Return the command line: a model behind an OpenAI-compatible endpoint, and how it is asked.

    It is asked cold_start.teachers.traces times in every combination of effort and temperature.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--pass-rates", required=True, metavar="TABLE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    add = parser.add_argument
    add("--endpoint", required=True, metavar="URL", help="base address, ends in /v1")
    add("--teacher", required=True, metavar="MODEL", help="name of the model served there")
    add("--effort", nargs="+", default=[None], metavar="E", help="low, high, ...")
    add("--temperature", nargs="+", type=float, default=[None], metavar="T")
    add("--parallel", type=int, default=4, metavar="N", help="requests at a time")
    add(
        "--store",
        default="results/teacher-answers.sqlite",
        metavar="FILE",
        help="answers are kept here and not asked for again (default: %(default)s)",
    )
    add("--max-requests", type=int, metavar="N", help="of this run; none: no limit")
    add("--max-tokens", type=int, metavar="N", help="of this run; none: no limit")
    add(
        "--key-variable",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable that holds the API key; the key itself is written nowhere",
    )
    return parser.parse_args()


def main() -> None:
    """Write one row per trace that is right and fits."""
    given = options()
    config = load_config(given.config, SMALL_WORLD)
    _, processor, world = load(config)
    tasks = tasks_from_table(read_form(given.pass_rates, "pass_rates"), look=config.seed)
    check_tasks(tasks, world, given.pass_rates)
    pool = build_pool(
        tasks,
        teacher(given, config, world),
        processor.tokenizer,
        world,
        # What reinforcement learning can't say later, the cold start need not teach.
        config.aepo.max_new_tokens,
        progress="traces",
    )
    write_table(given.out, pool.traces)
    if pool.stopped:
        print(f"ares: {given.out} is not complete: {pool.stopped}", file=sys.stderr)


def teacher(given: argparse.Namespace, config: Scale, world: World) -> EndpointTeacher:
    """The teacher that the command line names."""
    number = config.cold_start.teachers.traces
    budget = Budget(given.max_requests, given.max_tokens)
    endpoint = ChatEndpoint(given.endpoint, Store(resolve(given.store)), budget, given.key_variable)
    manners = [Manner(e, t) for e in given.effort for t in given.temperature]
    limit = config.aepo.max_new_tokens
    return EndpointTeacher(
        endpoint, given.teacher, manners, number, limit, given.parallel, world.values
    )


if __name__ == "__main__":
    with one_line():
        main()
