"""`ares train-base`: train the base model from nothing, measure it and write its card."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `train-base`."""
    parser = commands.add_parser("train-base", help="train the base model from nothing")
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--state", required=True, metavar="FOLDER", help="resumable state")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train (or continue), then write weights, tokenizer, processor, world and model card.

    On the GPU where there is one.
    """
    from pathlib import Path

    import torch

    from ares.base.publish import publish
    from ares.base.settings import load_base_config
    from ares.base.train import Trainer
    from ares.paths import CONFIG, resolve
    from ares.training.checkpoints import alone
    from ares.world.settings import load_world

    torch.set_num_threads(1)
    config = load_base_config(options.config)
    world = load_world(config.world)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with alone(options.state):
        trainer = Trainer(config, world, Path(options.state), device)
        seconds = trainer.run()
        shipped = resolve(options.config) == CONFIG / "base.yaml"
        command = "make base" if shipped else f"ares train-base --config {options.config}"
        publish(trainer, seconds, Path(options.out), command)
