"""What several steps do first: load a model of a scale and check that it fits the world."""

from __future__ import annotations

from typing import Any

import torch
from transformers.utils import logging

from ares.config import Scale
from ares.model.load import load_policy, model_world, of_small_world
from ares.model.tiny import check_processor
from ares.sampling.rollouts import Sampling
from ares.world.settings import World, load_world


def load(scale: Scale, model: str = "", device: str = "") -> tuple[Any, Any, World]:
    """A model, its processor and the scale's world.

    Args:
        model: folder, or name on the hub; empty: the scale's own.
        device: empty: a GPU when there is one.

    Raises:
        UserError: the model can't be loaded or was trained on another world.
    """
    # One thread per process, several processes: sums then come out the same on every machine.
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # of the weights; the commands show their own
    name, world = model or scale.model, load_world(scale.world)
    model_world(name, world)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    policy, processor = load_policy(name, device=device)
    if of_small_world(name):
        check_processor(processor, world, name)
    return policy, processor, world


def sampling_of(scale: Scale) -> Sampling:
    """How a scale samples rollouts."""
    drawn = scale.rollouts
    return Sampling(
        samples=drawn.samples,
        temperature=drawn.temperature,
        top_p=drawn.top_p,
        max_new_tokens=drawn.max_new_tokens,
        batch_prompts=drawn.batch_prompts,
        seed=scale.seed,
    )
