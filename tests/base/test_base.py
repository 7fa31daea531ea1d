"""Base training: labels on responses alone, batches by index, exact resumption, a full folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from ares.base.corpus import IGNORED, Example, Stream, collate
from ares.base.publish import publish
from ares.base.settings import load_base_config
from ares.base.train import Trainer
from ares.errors import UserError
from ares.model.load import load_policy, model_world
from ares.model.tiny import build_processor
from ares.paths import CONFIG
from ares.world.problem import Problem, split_of
from ares.world.settings import load_world

WORLD = load_world()
TINY = {
    **load_base_config(CONFIG / "base.yaml"),
    "size": {"hidden": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate": 32,
             "vision_hidden": 32, "vision_layers": 1, "vision_intermediate": 32, "context": 512},
    "text": {"steps": 3, "lr": 1e-3},
    "eyes": {"steps": 3, "cards": 4, "lr": 1e-3},
    "joint": {"steps": 3, "lr": 1e-3, "image_share": 0.5},
    "batch_tokens": 300,
    "checkpoint_every": 2,
    "evaluation": {"per_level": 2, "samples": 2, "max_new_tokens": 12, "batch_prompts": 16},
}  # fmt: skip


def test_only_the_response_and_its_end_carry_a_loss() -> None:
    processor = build_processor(WORLD)
    tokenizer = processor.tokenizer
    examples = [
        Example(Problem((3, 8), 24), "text", "<think> guess </think>"),
        Example(Problem((3, 8, 5), 19), "image", "<think> try 3"),
    ]
    batch = collate(examples, processor, seed=0)
    kept = [tokenizer.decode(row[row != IGNORED]) for row in batch["labels"]]
    assert kept == ["<think> guess </think> <|im_end|>", "<think> try 3 <|im_end|>"]
    assert torch.equal(batch["input_ids"][batch["labels"] != IGNORED],
                       batch["labels"][batch["labels"] != IGNORED])  # fmt: skip


def test_a_chunk_depends_on_its_index_alone_and_keeps_to_the_token_budget() -> None:
    processor = build_processor(WORLD)
    stream = Stream(WORLD, processor, seed=1, image_share=0.5, max_response=200, batch_tokens=900)
    chunk = stream.chunk(4)
    again = Stream(WORLD, processor, 1, 0.5, 200, 900).chunk(4)
    for one, other in zip(chunk, again, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert sum(len(batch["input_ids"]) for batch in chunk) == Stream.CHUNK
    assert max(batch["input_ids"].numel() for batch in chunk) <= 1100


def test_the_corpus_holds_training_problems_only() -> None:
    from ares.base.corpus import draw_example

    rng = np.random.default_rng(0)
    drawn = [draw_example(WORLD, 0.5, 300, rng) for _ in range(100)]
    assert {split_of(example.problem, WORLD) for example in drawn} == {"train"}
    assert {example.presentation for example in drawn} == {"text", "image"}


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def test_an_interrupted_training_ends_at_the_same_weights(tmp_path) -> None:
    whole = Trainer(TINY, WORLD, tmp_path / "whole")
    whole.run()
    cut = Trainer({**TINY, "text": {"steps": 2, "lr": 1e-3}}, WORLD, tmp_path / "cut")
    cut._stage("text")
    resumed = Trainer(TINY, WORLD, tmp_path / "cut")
    resumed.run()
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def test_stages_train_what_they_say(tmp_path) -> None:
    trainer = Trainer(TINY, WORLD, tmp_path)
    before = weights(trainer)
    trainer._stage("text")
    after_text = weights(trainer)
    trainer._stage("eyes")
    after_eyes = weights(trainer)
    for name in before:
        visual = name.startswith("model.visual.")
        if visual:
            assert torch.equal(before[name], after_text[name]), name
        else:
            assert torch.equal(after_text[name], after_eyes[name]), name
    key = "model.embed_tokens.weight"
    language = next(name for name in before if name.endswith(key.split(".", 1)[1]))
    assert not torch.equal(before[language], after_text[language])


def test_the_published_folder_loads_and_says_what_it_is(tmp_path) -> None:
    trainer = Trainer(TINY, WORLD, tmp_path / "state")
    publish(trainer, trainer.run(), tmp_path / "base")
    model, _ = load_policy(tmp_path / "base")
    model_world(tmp_path / "base", WORLD)
    for (name, shipped), trained in zip(
        model.named_parameters(), trainer.model.parameters(), strict=True
    ):
        assert torch.equal(shipped, trained.half().float()), name
    card = (tmp_path / "base" / "README.md").read_text()
    assert "make base" in card and "| easy | text |" in card and "| hard | image |" in card


def test_a_typo_in_the_config_is_named(tmp_path) -> None:
    raw = yaml.safe_load((CONFIG / "base.yaml").read_text())
    raw["text"]["stepps"] = 3
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError, match=r"unknown key 'text\.stepps'; did you mean 'steps'"):
        load_base_config(tmp_path / "base.yaml")
