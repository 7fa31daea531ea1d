"""`ares paper-train`: one run of AEPO on real data; run again, it goes on where it was."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `paper-train`."""
    parser = commands.add_parser(
        "paper-train", help="train one arm with one seed at a paper scale (AEPO)"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--prompts", required=True, metavar="TABLE", help="of paper-problems")
    parser.add_argument("--arm", required=True, metavar="NAME", help="of aepo.arms")
    parser.add_argument("--seed", required=True, type=int, metavar="N")
    parser.add_argument(
        "--start", required=True, metavar="MODEL", help="folder or name on the hub to start from"
    )
    parser.add_argument("--state", required=True, metavar="FOLDER", help="for resumable states")
    parser.add_argument("--model-out", required=True, metavar="FOLDER")
    for table in ("steps", "timings"):
        parser.add_argument(f"--{table}-out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, then write the model and the tables; the first process writes."""
    import shutil

    from ares.answers.grader import Grader
    from ares.config import PAPER, load_config
    from ares.io import write_table
    from ares.paperscale.train import PaperRun
    from ares.paths import resolve
    from ares.tables import read_form
    from ares.training.checkpoints import alone
    from ares.training.run import Arm

    config = load_config(options.config, PAPER)
    state = resolve(options.state)
    with Grader() as grader:
        training = PaperRun(
            config,
            Arm.of(config, options.arm),
            options.seed,
            read_form(options.prompts, "paper_problems"),
            options.start,
            state,
            grader,
        )
        processes = training.trainer.accelerator
        with alone(state, processes.is_main_process):
            training.train()
            training.save(options.model_out)
            if processes.is_main_process:
                for name, table in training.tables().items():
                    write_table(getattr(options, f"{name}_out"), table)
                shutil.rmtree(state)  # everything is written: the states have had their day
    processes.wait_for_everyone()
    processes.end_training()  # a process that leaves its group behind may abort at exit
