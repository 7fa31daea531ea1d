"""Start a run for every arm and kill it with SIGKILL, each at another place.

In a child of its own, so that one start of Python serves them all.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import scenes

from ares.training import checkpoints


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def while_saving(run: scenes.TrainingRun) -> None:
    """Die with every file of the third checkpoint written, but not its marker."""
    mark = checkpoints.mark_complete

    def mark_or_die(folder: Path) -> None:
        die() if run.trainer.records.step == 3 else mark(folder)

    checkpoints.mark_complete = mark_or_die


def while_learning(run: scenes.TrainingRun) -> None:
    """Die in the second optimizer step of the third batch."""
    step = run.trainer.training_step

    def step_or_die(*arguments: object) -> object:
        return die() if run.trainer.state.global_step == 5 else step(*arguments)

    run.trainer.training_step = step_or_die


PLACES: dict[str, Callable[[scenes.TrainingRun], None]] = {
    "ares": while_saving,
    "paper": while_learning,
}

if __name__ == "__main__":
    folder, states = Path(sys.argv[1]), Path(sys.argv[2])
    for arm, arrange in PLACES.items():
        child = os.fork()
        if child == 0:
            run = scenes.run_of(arm, folder, states / arm)
            arrange(run)
            run.train()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("ended:", arm, os.waitstatus_to_exitcode(status), flush=True)
