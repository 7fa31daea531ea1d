"""`ares train`: one run of reinforcement learning; run again, it goes on where it was."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `train`."""
    parser = commands.add_parser("train", help="train one arm with one seed (AEPO)")
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--arm", required=True, metavar="NAME", help="of aepo.arms")
    parser.add_argument("--seed", required=True, type=int, metavar="N")
    parser.add_argument("--start", required=True, metavar="FOLDER", help="model to start from")
    parser.add_argument("--state", required=True, metavar="FOLDER", help="for resumable states")
    parser.add_argument("--model-out", required=True, metavar="FOLDER")
    for table in ("steps", "timings", "validation", "trees"):
        parser.add_argument(f"--{table}-out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, then write the model and the tables; only the first process writes."""
    import shutil

    from ares.config import SMALL_WORLD, load_config
    from ares.io import write_table
    from ares.paths import resolve
    from ares.training.checkpoints import alone
    from ares.training.run import Arm, Run

    config = load_config(options.config, SMALL_WORLD)
    state = resolve(options.state)
    training = Run(config, Arm.of(config, options.arm), options.seed, options.start, state)
    processes = training.trainer.accelerator
    with alone(state, processes.is_main_process):
        training.train()
        if processes.is_main_process:
            training.save(options.model_out)
            for name, table in training.tables().items():
                write_table(getattr(options, f"{name}_out"), table)
            shutil.rmtree(state)  # everything is written: the states have had their day
    processes.wait_for_everyone()
    processes.end_training()  # a process that leaves its group behind may abort at exit
