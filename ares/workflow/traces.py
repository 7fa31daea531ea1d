"""`ares traces`: a pool of verified teacher traces of the problems whose pass rate is known."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `traces`."""
    parser = commands.add_parser("traces", help="collect verified traces of the teachers")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--pass-rates", required=True, metavar="TABLE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    server = parser.add_argument_group(
        "teachers of your own",
        "a model behind an OpenAI-compatible endpoint instead of the small world's teachers; "
        "it is asked adacs.traces times in every combination of effort and temperature",
    )
    server.add_argument("--endpoint", metavar="URL", help="base address, ends in /v1")
    server.add_argument("--teacher", metavar="MODEL", help="name of the model served there")
    server.add_argument("--effort", nargs="+", default=[None], metavar="E", help="low, high, ...")
    server.add_argument("--temperature", nargs="+", type=float, default=[None], metavar="T")
    server.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at a time")
    server.add_argument(
        "--store",
        default="results/teacher-answers.sqlite",
        metavar="FILE",
        help="answers are kept here and not asked for again (default: %(default)s)",
    )
    server.add_argument("--max-requests", type=int, metavar="N", help="of this run; none: no limit")
    server.add_argument("--max-tokens", type=int, metavar="N", help="of this run; none: no limit")
    server.add_argument(
        "--key-variable",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable that holds the API key; the key itself is written nowhere",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per trace that is right and fits."""
    import sys

    from ares.coldstart.pool import build_pool
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.sampling.policy import load
    from ares.sampling.rollouts import check_tasks, tasks_from_table
    from ares.tables import read_form

    config = load_config(options.config, SMALL_WORLD)
    _, processor, world = load(config)
    tasks = tasks_from_table(read_form(options.pass_rates, "pass_rates"), look=config["seed"])
    check_tasks(tasks, world, options.pass_rates)
    pool = build_pool(
        tasks,
        _source(options, config, world),
        processor.tokenizer,
        world,
        # What reinforcement learning can't say later, the cold start need not teach.
        config["aepo"]["max_new_tokens"],
        progress="traces",
    )
    write_table(options.out, pool.traces)
    if pool.stopped:
        print(f"ares: {options.out} is not complete: {pool.stopped}", file=sys.stderr)


def _source(options: argparse.Namespace, config: dict, world):
    """The teachers that the command line names."""
    from ares.backends.budget import Budget
    from ares.backends.store import Store
    from ares.coldstart.endpoint import ChatEndpoint, EndpointTeacher, Manner
    from ares.coldstart.teachers import SmallWorldTeachers
    from ares.errors import UserError
    from ares.paths import resolve

    if bool(options.endpoint) != bool(options.teacher):
        raise UserError("--endpoint and --teacher belong together: give both or neither")
    number = config["adacs"]["traces"]
    if not options.endpoint:
        return SmallWorldTeachers(world, number, config["seed"])
    budget = Budget(options.max_requests, options.max_tokens)
    endpoint = ChatEndpoint(
        options.endpoint, Store(resolve(options.store)), budget, options.key_variable
    )
    manners = [Manner(e, t) for e in options.effort for t in options.temperature]
    limit = config["aepo"]["max_new_tokens"]
    return EndpointTeacher(
        endpoint, options.teacher, manners, number, limit, options.parallel, world.values
    )
