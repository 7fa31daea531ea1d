"""Fine-tune the base model on one curation; run again, it goes on where it was."""

from __future__ import annotations

import shutil
from argparse import Namespace

import pandas as pd

from ares.config import Scale, load_config
from ares.errors import one_line
from ares.io import write_table
from ares.paperscale.curate import selected
from ares.paths import resolve
from ares.steps import options


def main() -> None:
    """Write the model and the losses of its training; the first process writes."""
    given = options(
        __doc__, "config", "selection", "curation", "model-out", optional=("state", "losses-out")
    )
    config = load_config(given.config)
    tune = on_data_sets if config.of_data_sets else on_small_world
    tune(config, given)


def on_small_world(config: Scale, given: Namespace) -> None:
    """Write a model folder that `ares.model.load.load_policy` reads."""
    chosen = selected(given.selection, given.curation, "selection")

    from ares.coldstart.tune import fine_tune
    from ares.model.save import publish
    from ares.sampling.policy import load
    from ares.sampling.rollouts import check_tasks, tasks_from_table

    model, processor, world = load(config)
    check_tasks(tasks_from_table(chosen, look=config.seed), world, given.selection)
    steps = fine_tune(model, processor, chosen, config.cold_start.sft, config.seed, world.values)
    publish(model, processor, world, given.model_out)
    tell(given.curation, chosen, steps)


def on_data_sets(config: Scale, given: Namespace) -> None:
    """Train as many processes as the launcher started."""
    chosen = selected(given.selection, given.curation)

    import torch
    from accelerate import PartialState

    from ares.model.load import load_policy
    from ares.paperscale.problems import ChosenItems, data_sets
    from ares.paperscale.save import save_plain
    from ares.paperscale.sft import build_trainer, losses
    from ares.training.checkpoints import alone
    from ares.training.resuming import train_or_resume

    items = ChosenItems(chosen, data_sets(config, chosen["source"].unique().tolist()))
    # Before a model is put on a device: this gives every process its own.
    processes = PartialState(cpu=not torch.cuda.is_available())
    state = resolve(given.state)
    trainer = build_trainer(
        *load_policy(config.model),
        chosen,
        items,
        config.cold_start.sft,
        config.seed,
        state,
        processes.num_processes,
    )
    with alone(state, processes.is_main_process):
        train_or_resume(trainer)
        save_plain(trainer, config.model, given.model_out)
        if processes.is_main_process:
            table = losses(trainer)
            write_table(given.losses_out, table.assign(curation=given.curation))
            shutil.rmtree(state)  # everything is written: the states have had their day
            tell(given.curation, chosen, table)
    processes.wait_for_everyone()
    trainer.accelerator.end_training()  # a process that leaves its group behind may abort at exit


def tell(curation: str, chosen: pd.DataFrame, steps: pd.DataFrame) -> None:
    """Say how the loss went."""
    first, last = steps["loss"].iloc[0], steps["loss"].iloc[-1]
    print(f"{curation}: {len(chosen)} examples, loss {first:.3f} to {last:.3f} nats per token")


if __name__ == "__main__":
    with one_line():
        main()
