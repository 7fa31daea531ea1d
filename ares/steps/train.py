"""One run of reinforcement learning (AEPO); run again, it goes on where it was."""

from __future__ import annotations

import shutil
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ares.config import Scale, load_config
from ares.errors import one_line
from ares.io import write_table
from ares.paths import resolve
from ares.steps import options
from ares.tables import read_form
from ares.training.checkpoints import alone
from ares.training.run import Arm, Run


def main() -> None:
    """Train, then write the model and the tables of the run; the first process writes."""
    given = options(
        __doc__,
        *("config", "arm", "seed", "start", "state", "model-out", "tables-out"),
        optional=("prompts",),
    )
    config, state = load_config(given.config), resolve(given.state)
    with ExitStack() as open_ones:
        training = prepared(config, given, state, open_ones)
        processes = training.trainer.accelerator
        open_ones.enter_context(alone(state, processes.is_main_process))
        training.train()
        training.save(given.model_out)
        if processes.is_main_process:
            for name, table in training.tables().items():
                write_table(Path(given.tables_out) / f"{name}.parquet", table)
            shutil.rmtree(state)  # everything is written: the states have had their day
    processes.wait_for_everyone()
    processes.end_training()  # a process that leaves its group behind may abort at exit


def prepared(config: Scale, given: Namespace, state: Path, open_ones: ExitStack) -> Any:
    """Return the run on what the config trains on: the small world, or data sets."""
    arm, seed = Arm.of(config, given.arm), int(given.seed)
    if not config.of_data_sets:
        return Run(config, arm, seed, given.start, state)

    from ares.answers.grader import Grader
    from ares.paperscale.train import PaperRun

    prompts = read_form(given.prompts, "paper_problems")
    grader = open_ones.enter_context(Grader())
    return PaperRun(config, arm, seed, prompts, given.start, state, grader)


if __name__ == "__main__":
    with one_line():
        main()
