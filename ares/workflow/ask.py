"""`ares ask`: put one problem to a model and read what it answers."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `ask`."""
    parser = commands.add_parser("ask", help="put one problem to a model, as text or as a picture")
    parser.add_argument("numbers", nargs="+", type=int, metavar="NUMBER")
    parser.add_argument("--target", required=True, type=int)
    parser.add_argument(
        "--config", default="laptop", metavar="SCALE", help="model, world, sampling"
    )
    parser.add_argument("--image", action="store_true", help="show the numbers as drawn cards")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="show this picture of the cards"
    )
    parser.add_argument("--samples", type=int, default=4, metavar="N")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the responses with their verdicts and mean token entropies.

    Raises:
        UserError: the problem can't be stated or solved, or the picture can't be read.
    """
    from dataclasses import replace

    from ares.config import SMALL_WORLD, load_config
    from ares.errors import UserError
    from ares.sampling.policy import load, sampling_of
    from ares.sampling.rollouts import Task, roll_out
    from ares.world.cards import check_shape, read_picture
    from ares.world.problem import Problem, check_problem
    from ares.world.settings import load_world

    config = load_config(options.config, SMALL_WORLD)
    problem = Problem(tuple(options.numbers), options.target)
    check_problem(problem, load_world(config["world"]))
    if options.samples < 1:
        raise UserError(f"--samples {options.samples}: ask for at least one")
    shown = None
    if options.picture is not None:
        if not options.picture.is_file():
            raise UserError(f"{options.picture}: no such picture")
        shown = read_picture(options.picture.read_bytes(), str(options.picture))
        check_shape(shown, str(options.picture))
    presentation = "image" if options.image or shown else "text"
    model, processor, world = load(config)
    task = Task(problem, "", presentation, config["seed"], shown)
    sampling = replace(sampling_of(config), samples=options.samples)
    for row in roll_out(model, processor, [task], world, sampling).itertuples():
        print(f"[{row.verdict}; {row.n_tokens} tokens, mean entropy {row.entropy.mean():.2f} nats]")
        print(row.text, end="\n\n")
