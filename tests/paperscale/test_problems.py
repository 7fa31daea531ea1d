"""Problems: which are chosen, how long their prompts are, and that they stay what they were."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ares.answers.base import Question
from ares.benchmarks.load import items
from ares.config import load_config
from ares.errors import UserError
from ares.items import Item
from ares.model.load import load_policy
from ares.paperscale.chat import prompt_tokens, with_places
from ares.paperscale.problems import (
    ChosenItems,
    Selected,
    check_traces,
    choose,
    data_sets,
    shard_of,
)
from ares.paperscale.processor import load_processor
from ares.paths import BASE_MODEL


@pytest.fixture(scope="module")
def processor():
    return load_processor(BASE_MODEL)


@pytest.fixture
def sources(scale):
    names = ["cards", "numbers", "virl39k-here", "openthoughts-here"]
    return data_sets(load_config(scale()), names)


def test_the_processor_is_that_of_the_policy(processor):
    _, expected = load_policy(BASE_MODEL)
    assert processor.chat_template == expected.chat_template
    assert processor.tokenizer.get_vocab() == expected.tokenizer.get_vocab()
    assert processor.image_processor.size == expected.image_processor.size


@pytest.mark.parametrize("source", ["cards", "numbers", "virl39k-here"])
def test_prompt_tokens_are_those_that_the_processor_makes(processor, sources, source):
    for item in items(sources[source]):
        text = processor.apply_chat_template(
            with_places(item), tokenize=False, add_generation_prompt=True
        )
        made = processor(text=[text], images=item.images or None)
        assert prompt_tokens(item, processor) == len(made["input_ids"][0])


def test_prompts_that_are_too_long_are_left_out_and_counted(processor, sources):
    table, left_out = choose(items(sources["cards"]), "cards", None, processor, 12, "both", 1)
    assert (table["prompt_tokens"] <= 12).all() and 0 < len(table) < 8
    assert left_out == {"prompt of more than 12 tokens": 8 - len(table)}


@pytest.mark.parametrize(("pictures", "ids", "why"), [
    ("only", ["a-1", "a-2"], {"has no picture": 1}),
    ("none", ["a-3"], {"has a picture": 2}),
    ("both", ["a-1", "a-2", "a-3"], {}),
])  # fmt: skip
def test_prompts_with_pictures_or_without(processor, sources, pictures, ids, why):
    found = items(sources["virl39k-here"])
    table, left_out = choose(found, "v", None, processor, 1000, pictures, 1)
    assert table["problem_id"].tolist() == ids and left_out == why


def test_more_problems_contain_the_fewer(processor, sources):
    def chosen(number: int | None, seed: int = 1) -> set[str]:
        found = items(sources["numbers"])
        table, _ = choose(found, "numbers", number, processor, 99, "both", seed)
        assert table["row"].is_monotonic_increasing
        return set(table["problem_id"])

    assert len(chosen(3)) == 3 and chosen(3) < chosen(5) < chosen(None) == chosen(99)
    assert {frozenset(chosen(3, seed)) for seed in range(5)} != {frozenset(chosen(3))}


def test_a_row_that_cannot_be_read_is_left_out(processor, sources, stand_ins, tmp_path, scale):
    rows = pd.read_json(stand_ins / "numbers.jsonl", lines=True)
    rows.loc[2, "answer"] = ""
    rows.to_json(tmp_path / "numbers.jsonl", orient="records", lines=True)
    registry = tmp_path / "training.yaml"
    registry.write_text((stand_ins / "training.yaml").read_text(encoding="utf-8"))
    config = load_config(scale(training_data=[str(registry)]))
    found = items(data_sets(config, ["numbers"])["numbers"])
    table, left_out = choose(found, "numbers", None, processor, 99, "both", 1)
    assert len(table) == 7 and left_out == {"row can't be used": 1}


def test_chosen_items_are_those_of_the_table(processor, sources):
    parts = [
        choose(items(sources[name]), name, 3, processor, 999, "both", 1)[0]
        for name in ("cards", "numbers")
    ]
    table = pd.concat(parts, ignore_index=True)
    chosen = ChosenItems(table, sources)
    assert [(item.benchmark, item.id) for item in chosen] == list(
        zip(table["source"], table["problem_id"], strict=True)
    )
    assert [item.id for item in chosen[1:3]] == table["problem_id"].tolist()[1:3]
    some = Selected(chosen, [5, 0])
    assert [item.id for item in some] == [chosen[5].id, chosen[0].id] and len(some) == 2
    other = (table["row"].iloc[-1] + 1) % 8
    for change in ({"row": other}, {"row": 70}, {"problem_id": "another"}):
        with pytest.raises(UserError, match="has changed since the problems were chosen"):
            ChosenItems(table.tail(1).assign(**change), sources)[0]


def test_shards_hold_every_row_once_and_all_data_sets():
    table = pd.DataFrame({"source": ["a"] * 6 + ["b"] * 6, "row": range(12)})
    shards = [shard_of(table, shard, 3) for shard in range(3)]
    assert sorted(row for shard in shards for row in shard["row"]) == list(range(12))
    assert all(set(shard["source"]) == {"a", "b"} for shard in shards)
    with pytest.raises(UserError, match="--shard 3: there are 3, from 0"):
        shard_of(table, 3, 3)


def test_an_unknown_data_set_is_named(scale):
    with pytest.raises(UserError, match="no data set 'card'; did you mean 'cards'"):
        data_sets(load_config(scale()), ["card"])


@pytest.mark.parametrize(("changes", "source", "kind"), [
    ({}, "virl39k-here", "pictures"),
    ({"traces": "teachers"}, "numbers", "text"),
    ({"traces": "teachers"}, "cards", "pictures"),
    ({"traces": "own", "teachers.pictures.url": "http://127.0.0.1:1/v1"}, "virl39k-here",
     "pictures"),
])  # fmt: skip
def test_data_without_traces_are_refused_before_they_cost_time(
    scale, sources, changes, source, kind
):
    config = load_config(scale(**{f"cold_start.{key}": value for key, value in changes.items()}))
    with pytest.raises(
        UserError, match=f"for data set '{source}'.*give cold_start.teachers.{kind}"
    ):
        check_traces(config, {source: sources[source]})


def test_data_with_traces_or_a_teacher_pass(scale, sources):
    url = {"cold_start.teachers.pictures.url": "http://127.0.0.1:1/v1"}
    check_traces(load_config(scale(**url)), sources)


def test_places_of_pictures_stay_where_they_are():
    content = [{"type": "text", "text": "a"}, {"type": "image", "image": object()}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": content}]
    assert with_places(Item("b", "i", messages, Question("1", "number"), "i")) == [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
    ]


def test_the_processor_of_no_model_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="no such model folder"):
        load_processor(tmp_path / "nothing")
