"""`ares tokens`: label every token of the rollouts and read its distribution back."""

from __future__ import annotations

import argparse

#: Rollouts per forward pass, top log-probabilities kept per token, and for how many rollouts.
BATCH, TOP_K, TOP_K_ROLLOUTS = 32, 20, 64


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `tokens`."""
    parser = commands.add_parser("tokens", help="label the tokens of rollouts")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--rollouts", required=True, metavar="TABLE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.add_argument("--top-out", required=True, metavar="TABLE", help="top log-probabilities")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the token table and the table of top log-probabilities."""
    from ares.analysis.tokens import Scoring, token_tables
    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.method.lexicon import load_lexicon
    from ares.sampling.policy import load
    from ares.sampling.rollouts import check_tasks, check_tokens, tasks_from_table
    from ares.tables import read_form

    config = load_config(options.config, SMALL_WORLD)
    rollouts = read_form(options.rollouts, "rollouts", "token_ids", "entropy", "logprob")
    model, processor, world = load(config)
    tasks = tasks_from_table(rollouts, look=config["seed"])
    check_tasks(tasks, world, options.rollouts)
    check_tokens(rollouts, model, options.rollouts)
    tokens, top = token_tables(
        rollouts,
        tasks,
        model,
        processor,
        world,
        load_lexicon(),
        Scoring(config["rollouts"]["temperature"], TOP_K, TOP_K_ROLLOUTS, BATCH),
    )
    write_table(options.top_out, top)
    write_table(options.out, tokens)
