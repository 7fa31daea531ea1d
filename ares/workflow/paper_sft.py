"""`ares paper-sft`: fine-tune a real model on a selection; run again, it goes on where it was."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `paper-sft`."""
    parser = commands.add_parser(
        "paper-sft", help="fine-tune the base model on selected traces at a paper scale"
    )
    parser.add_argument("--config", required=True, metavar="SCALE")
    parser.add_argument("--selection", required=True, metavar="TABLE")
    parser.add_argument("--curation", required=True, metavar="NAME", help="adacs or cs-vanilla")
    parser.add_argument("--state", required=True, metavar="FOLDER", help="for resumable states")
    parser.add_argument("--model-out", required=True, metavar="FOLDER")
    parser.add_argument("--losses-out", required=True, metavar="TABLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, then write the model and the losses; the first process writes."""
    import shutil

    import torch
    from accelerate import PartialState

    from ares.config import PAPER, load_config
    from ares.io import write_table
    from ares.model.load import load_policy
    from ares.paperscale.curate import selected
    from ares.paperscale.problems import ChosenItems, data_sets
    from ares.paperscale.save import save_plain
    from ares.paperscale.sft import build_trainer, losses
    from ares.paths import resolve
    from ares.training.checkpoints import alone
    from ares.training.resuming import train_or_resume

    config = load_config(options.config, PAPER)
    chosen = selected(options.selection, options.curation)
    items = ChosenItems(chosen, data_sets(config, chosen["source"].unique().tolist()))
    # Before a model is put on a device: this gives every process its own.
    processes = PartialState(cpu=not torch.cuda.is_available())
    state = resolve(options.state)
    trainer = build_trainer(
        *load_policy(config["model"]),
        chosen,
        items,
        config["cold_start"]["sft"],
        config["seed"],
        state,
        processes.num_processes,
    )
    with alone(state, processes.is_main_process):
        train_or_resume(trainer)
        save_plain(trainer, config["model"], options.model_out)
        if processes.is_main_process:
            table = losses(trainer)
            write_table(options.losses_out, table.assign(curation=options.curation))
            shutil.rmtree(state)  # everything is written: the states have had their day
            print(
                f"{options.curation}: {len(chosen)} examples, {len(table)} steps, loss "
                f"{table['loss'].iloc[0]:.3f} to {table['loss'].iloc[-1]:.3f} nats per token"
            )
    processes.wait_for_everyone()
    trainer.accelerator.end_training()  # a process that leaves its group behind may abort at exit
