"""Base training: labels on responses alone, chunks by index, exact resumption, a full folder."""

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ares.data.countdown import Problem, split_of
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.model import base_training
from ares.model.base_card import publish
from ares.model.base_corpus import (
    IGNORED,
    Corpus,
    Example,
    ahead,
    collate,
    draw_example,
    positions,
)
from ares.model.base_settings import load_base_config
from ares.model.base_training import Trainer
from ares.model.load import load_policy, model_world
from ares.model.tiny import build_model, build_processor
from ares.paths import CONFIG
from tests.configs import changed

WORLD, PROCESSOR = load_world(), build_processor(load_world())
TINY = changed(load_base_config(CONFIG / "base.yaml"), {
    "size": {"hidden": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate": 32,
             "vision_hidden": 32, "vision_layers": 1, "vision_intermediate": 32, "context": 512},
    "text": {"steps": 3, "lr": 1e-3},
    "eyes": {"steps": 3, "cards": 4, "lr": 1e-3},
    "joint": {"steps": 3, "lr": 1e-3, "image_share": 0.5},
    "batch_tokens": 300,
    "checkpoint_every": 2,
    "evaluation": {"per_level": 2, "samples": 2, "max_new_tokens": 12, "batch_prompts": 16},
})  # fmt: skip
EXAMPLES = [
    Example(Problem((3, 8), 24), "text", "<think> guess </think>"),
    Example(Problem((3, 8, 5, 2), 19), "image", "<think> try 3 + 8 = 11 . </think>"),
    Example(Problem((3, 8), 11), "image", "<think>"),
]


def test_only_the_response_and_its_end_carry_a_loss() -> None:
    batch = collate(EXAMPLES, PROCESSOR, seed=0)
    is_kept = batch["labels"] != IGNORED
    kept = [
        PROCESSOR.tokenizer.decode(row[is_row])
        for row, is_row in zip(batch["labels"], is_kept, strict=True)
    ]
    assert kept == [f"{example.response} <|im_end|>" for example in EXAMPLES]
    assert torch.equal(batch["input_ids"][is_kept], batch["labels"][is_kept])


def test_positions_are_those_that_the_model_works_out() -> None:
    model = build_model(PROCESSOR, TINY.size, seed=0).model
    batch = collate(EXAMPLES, PROCESSOR, seed=0)
    names = ("mm_token_type_ids", "image_grid_thw", "attention_mask")
    expected, _ = model.get_rope_index(batch["input_ids"], **{name: batch[name] for name in names})
    assert torch.equal(positions(batch, PROCESSOR.image_token_id), expected)
    assert not torch.equal(expected[0], expected[2]), "the cards stand at places of their own"


def test_the_corpus_holds_training_problems_in_chunks_that_depend_on_their_index_alone() -> None:
    corpus = Corpus(WORLD, PROCESSOR, 1, 0.5, max_response=200, batch_tokens=900, examples=96)
    chunk = corpus[4]
    for one, other in zip(chunk, corpus[4], strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert sum(len(batch["input_ids"]) for batch in chunk) == 96
    assert max(batch["input_ids"].numel() for batch in chunk) <= 1100
    rng = np.random.default_rng(0)
    drawn = [draw_example(WORLD, 0.5, 300, rng) for _ in range(100)]
    assert {split_of(example.problem, WORLD) for example in drawn} == {"train"}
    assert {example.presentation for example in drawn} == {"text", "image"}


class SlowAtFirst(torch.utils.data.Dataset):
    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.2 if index == 3 else 0.0)
        return torch.full((2,), index)


@pytest.mark.parametrize("workers", [0, 2])
def test_chunks_made_ahead_come_in_the_order_of_their_indices(workers) -> None:
    state = torch.get_rng_state()
    made = [chunk.tolist() for chunk in islice(ahead(SlowAtFirst(), 3, workers), 6)]
    assert made == [[index, index] for index in range(3, 9)]
    assert torch.equal(torch.get_rng_state(), state), "it must not draw from torch's generator"


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def trained(config, folder: Path) -> dict[str, torch.Tensor]:
    trainer = Trainer(config, WORLD, folder)
    trainer.run()
    return weights(trainer)


@pytest.mark.parametrize("kills", [1, 4])
def test_a_killed_training_ends_at_the_same_weights(tmp_path, monkeypatch, kills) -> None:
    """After the state of a stage's first chunk, and of a later stage."""
    config = changed(TINY, {"chunk": 4, "batch_tokens": 150, "text.steps": 9})
    save, states = base_training._save, []

    def killed(path, *arguments):
        save(path, *arguments)
        states.append(arguments[-1])
        if len(states) == kills:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(base_training, "_save", killed)
        trained(config, tmp_path / "killed")
    assert states[0].steps < 9 and states[0].chunks > 0
    whole, resumed = (trained(config, tmp_path / name) for name in ("whole", "killed"))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_a_state_of_an_earlier_version_is_refused(tmp_path) -> None:
    save_file({}, tmp_path / "text.safetensors", {"step": "3", "seconds": "1.0"})
    with pytest.raises(UserError, match=r"of no schema version .* remove it"):
        Trainer(TINY, WORLD, tmp_path)._stage("text")


def test_stages_train_what_they_say(tmp_path) -> None:
    trainer = Trainer(TINY, WORLD, tmp_path)
    before = weights(trainer)
    trainer._stage("text")
    after_text = weights(trainer)
    trainer._stage("eyes")
    after_eyes = weights(trainer)
    for name in before:
        is_visual = name.startswith("model.visual.")
        moved = "eyes" if is_visual else "text"
        assert torch.equal(before[name], after_text[name]) or moved == "text", name
        assert torch.equal(after_text[name], after_eyes[name]) or moved == "eyes", name
    language = next(name for name in before if name.endswith("embed_tokens.weight"))
    assert not torch.equal(before[language], after_text[language])


def test_the_published_folder_loads_and_says_what_it_is(tmp_path) -> None:
    trainer = Trainer(TINY, WORLD, tmp_path / "state")
    publish(trainer, trainer.run(), tmp_path / "base")
    model, _ = load_policy(tmp_path / "base")
    model_world(tmp_path / "base", WORLD)
    for (name, shipped), kept in zip(
        model.named_parameters(), trainer.model.parameters(), strict=True
    ):
        assert torch.equal(shipped, kept.half().float()), name
    card = (tmp_path / "base" / "README.md").read_text()
    assert "make base" in card and "| easy | text |" in card and "| hard | image |" in card
