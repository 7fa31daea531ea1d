"""One run of reinforcement learning (AEPO); run again, it goes on where it was."""

from __future__ import annotations

import shutil
from pathlib import Path

from ares.answers.grader import Grader
from ares.config import load_config
from ares.errors import one_line
from ares.io import write_table
from ares.paths import resolve
from ares.steps import options
from ares.tables import read_form
from ares.training.checkpoints import alone
from ares.training.run import Run


def main() -> None:
    """Train, then write the model and the tables of the run; the first process writes."""
    given = options(
        __doc__, "config", "prompts", "arm", "seed", "start", "state", "model-out", "tables-out"
    )
    scale, state = load_config(given.config), resolve(given.state)
    prompts = read_form(given.prompts, "problems", data=scale.of_data_sets)
    with Grader() as grader:
        training = Run(scale, given.arm, int(given.seed), prompts, given.start, state, grader)
        processes = training.trainer.accelerator
        with alone(state, processes.is_main_process):
            training.train()
            training.save(given.model_out)
            if processes.is_main_process:
                for name, table in training.tables().items():
                    write_table(Path(given.tables_out) / f"{name}.parquet", table)
                shutil.rmtree(state)  # everything is written, so no run needs the states any more
    processes.wait_for_everyone()
    processes.end_training()  # a process that leaves its group behind may abort at exit


if __name__ == "__main__":
    with one_line():
        main()
