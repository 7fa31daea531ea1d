"""`ares problems`: draw the test problems of a scale."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `problems`."""
    parser = commands.add_parser("problems", help="draw held-out problems from the world")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write one row per test problem and presentation."""
    import numpy as np
    import pandas as pd

    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.world.problem import draw_problems
    from ares.world.settings import load_world

    config = load_config(options.config, SMALL_WORLD)
    world = load_world(config["world"])
    rng = np.random.default_rng(config["seed"])
    rows = [
        {
            "problem_id": problem.id,
            "level": level,
            "k": len(problem.numbers),
            "numbers": list(problem.numbers),
            "target": problem.target,
            "presentation": presentation,
            "split": "test",
        }
        for level in config["problems"]["levels"]
        for problem in draw_problems(level, "test", config["problems"]["per_level"], world, rng)
        for presentation in config["problems"]["presentations"]
    ]
    write_table(options.out, pd.DataFrame(rows))
