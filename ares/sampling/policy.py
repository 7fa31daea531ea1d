"""What several commands do first: load the policy of a config and check that it fits the world."""

from __future__ import annotations

from typing import Any

import torch
from transformers.utils import logging

from ares.config import Scale
from ares.model.load import load_policy, model_world, of_small_world
from ares.model.tiny import check_processor
from ares.sampling.rollouts import Sampling
from ares.world.settings import World, load_world


def load(config: Scale) -> tuple[Any, Any, World]:
    """Model, processor and world of a config; a GPU is used when there is one.

    Raises:
        UserError: the model can't be loaded or was trained on another world.
    """
    # One thread per process, several processes: sums then come out the same on every machine.
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # of the weights; the commands show their own
    world = load_world(config.world)
    model_world(config.model, world)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, processor = load_policy(config.model, device=device)
    if of_small_world(config.model):
        check_processor(processor, world, config.model)
    return model, processor, world


def sampling_of(config: Scale) -> Sampling:
    """How a config samples rollouts."""
    drawn = config.rollouts
    return Sampling(
        samples=drawn.samples,
        temperature=drawn.temperature,
        top_p=drawn.top_p,
        max_new_tokens=drawn.max_new_tokens,
        batch_prompts=drawn.batch_prompts,
        seed=config.seed,
    )
