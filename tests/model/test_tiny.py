"""The tiny model is a Qwen2.5-VL like any other: saved, loaded, fed with text and pictures."""

import shutil

import pytest
import torch

from ares.data.countdown import Problem
from ares.data.world import countdown_item
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.io import write_json
from ares.model.load import WORLD_FILE, load_policy, model_world
from ares.model.processor import prompt_text
from ares.model.tiny import build_processor, vocabulary

WORLD = load_world()


def encode(processor, problem: Problem, presentation: str):
    item = countdown_item(problem, presentation)
    text = prompt_text(item, processor)
    return processor(text=[text], images=item.images or None, return_tensors="pt")


def test_every_word_of_the_world_is_one_token() -> None:
    tokenizer = build_processor(WORLD).tokenizer
    for word in vocabulary(WORLD):
        ids = tokenizer(word)["input_ids"]
        assert len(ids) == 1 and ids[0] != tokenizer.unk_token_id
        assert tokenizer.decode(ids) == word


def test_a_card_is_one_visual_token_and_the_system_message_is_left_out() -> None:
    processor = build_processor(WORLD)
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for numbers in ((3, 8), (3, 8, 5), (3, 8, 5, 24)):
        batch = encode(processor, Problem(numbers, 19), "image")
        assert int((batch["input_ids"] == pad).sum()) == len(numbers)
    batch = encode(processor, Problem((3, 8), 24), "text")
    text = processor.tokenizer.decode(batch["input_ids"][0])
    assert text == "<|im_start|> user numbers 3 8 target 24 <|im_end|> <|im_start|> assistant"


def test_the_model_sees_its_pictures(model_folder) -> None:
    model, processor = load_policy(model_folder)
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration" and not model.training
    batch = encode(processor, Problem((3, 8), 24), "image")
    with torch.no_grad():
        seen = model(**batch).logits
        batch["pixel_values"] = batch["pixel_values"] * 0
        blind = model(**batch).logits
    assert not torch.allclose(seen, blind)


def test_a_model_of_another_world_is_refused(model_folder, tmp_path) -> None:
    assert model_world(model_folder, WORLD)
    other = shutil.copytree(model_folder, tmp_path / "other")
    write_json(other / WORLD_FILE, {**WORLD.dump(), "values": [1, 60]})
    with pytest.raises(UserError, match=r"another world \(values differ\)"):
        model_world(other, WORLD)
