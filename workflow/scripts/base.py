"""Train a base model from nothing (or go on), measure it and write its card."""

from pathlib import Path

import torch

from ares.data.world_settings import load_world
from ares.model.base_card import publish
from ares.model.base_settings import load_base_config
from ares.model.base_training import Trainer
from ares.steps import step
from ares.training.checkpoints import alone

with step(snakemake):
    torch.set_num_threads(1)
    config, state = load_base_config(snakemake.input.config), Path(snakemake.params.state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with alone(state):
        trainer = Trainer(config, load_world(config.world), state, device)
        seconds = trainer.run()
        command = f"snakemake --cores all {snakemake.output[0]}"
        shipped = snakemake.rule == "base"
        publish(trainer, seconds, Path(snakemake.output[0]), "make base" if shipped else command)
