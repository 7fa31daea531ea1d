"""Base training: labels on responses alone, batches by index, exact resumption, a full folder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from ares.data.countdown import Problem, split_of
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.model.base_card import publish
from ares.model.base_corpus import IGNORED, Example, Place, Stream, ahead, collate, positions
from ares.model.base_settings import load_base_config
from ares.model.base_training import Progress, Trainer
from ares.model.load import load_policy, model_world
from ares.model.tiny import build_model, build_processor
from ares.paths import CONFIG
from tests.configs import changed

WORLD = load_world()
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


def test_a_stream_can_be_entered_at_any_chunk() -> None:
    stream = Stream(WORLD, build_processor(WORLD), 1, 0.5, 200, 300, examples=8)
    whole = list(stream.batches(12))
    place = whole[9][2]
    assert place.chunk > 0 and 0 < place.step <= 9
    entered = list(stream.batches(12, place))
    assert [step for step, _, _ in entered] == list(range(place.step, 12))
    for (_, one, there), (_, other, again) in zip(entered, whole[place.step :], strict=True):
        assert there == again
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_work_done_ahead_comes_in_the_order_of_its_indices() -> None:
    def slow_at_first(index: int) -> tuple[int, torch.Tensor]:
        time.sleep(0.2 if index == 3 else 0.0)
        return index, torch.full((2,), index)

    state = torch.get_rng_state()
    for workers in (0, 2):
        made = list(ahead(slow_at_first, range(3, 9), workers))
        assert [index for index, _ in made] == list(range(3, 9))
        assert all(tensor.tolist() == [index, index] for index, tensor in made)
    assert torch.equal(torch.get_rng_state(), state), "it must not draw from torch's generator"


def test_positions_are_those_that_the_model_works_out() -> None:
    processor = build_processor(WORLD)
    model = build_model(processor, TINY.size, seed=0).model
    examples = [
        Example(Problem((3, 8), 24), "text", "<think> guess </think>"),
        Example(Problem((3, 8, 5, 2), 19), "image", "<think> try 3 + 8 = 11 . </think>"),
        Example(Problem((3, 8), 11), "image", "<think>"),
    ]
    batch = collate(examples, processor, seed=0)
    expected, _ = model.get_rope_index(
        batch["input_ids"],
        mm_token_type_ids=batch["mm_token_type_ids"],
        image_grid_thw=batch["image_grid_thw"],
        attention_mask=batch["attention_mask"],
    )
    assert torch.equal(positions(batch, processor.image_token_id), expected)
    assert not torch.equal(expected[0], expected[2]), "the cards stand at places of their own"


def test_the_corpus_holds_training_problems_only() -> None:
    from ares.model.base_corpus import draw_example

    rng = np.random.default_rng(0)
    drawn = [draw_example(WORLD, 0.5, 300, rng) for _ in range(100)]
    assert {split_of(example.problem, WORLD) for example in drawn} == {"train"}
    assert {example.presentation for example in drawn} == {"text", "image"}


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def test_an_interrupted_training_ends_at_the_same_weights(tmp_path) -> None:
    whole = Trainer(TINY, WORLD, tmp_path / "whole")
    whole.run()
    cut = Trainer(changed(TINY, {"text.steps": 2}), WORLD, tmp_path / "cut")
    cut._stage("text")
    resumed = Trainer(TINY, WORLD, tmp_path / "cut")
    resumed.run()
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def test_batches_made_ahead_give_the_same_weights(tmp_path) -> None:
    alone = Trainer(TINY, WORLD, tmp_path / "alone")
    alone.run()
    helped = Trainer(changed(TINY, {"workers": 2}), WORLD, tmp_path / "helped")
    helped.run()
    for name, tensor in weights(alone).items():
        assert torch.equal(tensor, weights(helped)[name]), name


def test_training_goes_on_inside_a_later_chunk(tmp_path) -> None:
    small = changed(TINY, {"text.steps": 9, "chunk": 4, "batch_tokens": 150})
    whole = Trainer(small, WORLD, tmp_path / "whole")
    whole._stage("text")
    cut = Trainer(changed(small, {"text.steps": 7}), WORLD, tmp_path / "cut")
    cut._stage("text")
    resumed = Trainer(small, WORLD, tmp_path / "cut")
    seen = [(step, place) for step, _, place in resumed._losses("text", _state(tmp_path / "cut"))]
    assert [step for step, _ in seen] == [7, 8] and seen[0][1].chunk > 0
    resumed._stage("text")
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def _state(folder: Path) -> Progress:
    with safe_open(folder / "text.safetensors", "pt") as state:
        told = json.loads(state.metadata()["progress"])
    return Progress(told["steps"], told["seconds"], Place(**told["place"]))


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
