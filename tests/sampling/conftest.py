"""A tiny random policy whose attention and positions matter, and prompts with and without cards."""

import numpy as np
import pytest
import torch
from PIL import Image

from ares.data.cards import draw_cards
from ares.data.world_settings import load_world
from ares.model.tiny import Size, build_model, build_processor
from ares.sampling.prompts import split_prompts

TEXT = ["numbers", "numbers 3 , 4 target 12", "cards 2 , 9 , 17 target 25 left 3 vs 4", "yes no"]
# Rows of cards. Two rows make the rotary positions fall behind the token count, one does not.
CARDS = [None, [(3, 4)], [(2, 9, 17), (5, 6, 7)], [(5,)]]


@pytest.fixture(scope="session")
def policy():
    """(model, processor); the weights are rescaled so that an untrained model is not indifferent.

    As initialised, attention is almost uniform and logits almost equal: a wrong mask or a wrong
    position would change nothing that a test can see.
    """
    processor = build_processor(load_world())
    model = build_model(processor, Size(), seed=0).eval()
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.q_proj.weight *= 8
            layer.self_attn.k_proj.weight *= 8
        model.model.language_model.norm.weight *= 4
    return model, processor


@pytest.fixture(scope="session")
def ids(policy):
    """The keyword arguments that name the special tokens."""
    return {"eos_token_ids": [policy[1].tokenizer.eos_token_id]}


@pytest.fixture(scope="session")
def batch_of(policy):
    """A function: pictures, None for no picture -> one left-padded batch of the prompts `TEXT`."""

    def batch(cards):
        conversations = [
            [{"role": "user", "content": [*_picture(rows), {"type": "text", "text": text}]}]
            for text, rows in zip(TEXT, cards, strict=True)
        ]
        return policy[1].apply_chat_template(
            conversations,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )

    return batch


def _picture(rows):
    if rows is None:
        return []
    cards = np.concatenate([np.asarray(draw_cards(row, 0)) for row in rows])
    return [{"type": "image", "image": Image.fromarray(cards)}]


@pytest.fixture(params=["text", "cards"])
def inputs(request, batch_of):
    """Prompts of mixed lengths: all text, or some with pictures of 1 to 6 cards."""
    return batch_of([None] * 4 if request.param == "text" else CARDS)


@pytest.fixture
def prompts(policy, inputs):
    """The same, each prompt by itself."""
    return split_prompts(inputs, policy[0].config)
