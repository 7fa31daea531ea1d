"""Problems: which are chosen, how long their prompts are, and that they stay what they were."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from ares.config import load_config
from ares.data.countdown import split_of
from ares.data.items import Problems
from ares.data.problems import check_traces, choose, choose_problems, data_set_problems, data_sets
from ares.data.world import draw_table, problem_of, world_problems
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.evaluation.load import items
from ares.evaluation.registry import load_registry
from ares.model.load import load_processor
from ares.model.processor import placed, prompt_text, prompt_tokens
from ares.paths import BASE_MODEL
from tests.evaluation.standins import TRAINING_DATA


@pytest.fixture(scope="module")
def processor():
    return load_processor(BASE_MODEL)


@pytest.fixture
def sources(scale):
    names = ["cards", "numbers", "virl39k-here", "openthoughts-here"]
    return data_sets(load_config(scale()), names)


@pytest.mark.parametrize("source", ["cards", "numbers", "virl39k-here"])
def test_prompt_tokens_are_those_that_the_processor_makes(processor, sources, source):
    for item in items(sources[source]):
        made = processor(text=[prompt_text(item, processor)], images=item.images or None)
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


def test_a_row_that_cannot_be_read_is_left_out(processor, stand_ins, tmp_path):
    rows = pd.read_json(stand_ins / "numbers.jsonl", lines=True)
    rows.loc[2, "answer"] = ""
    rows.to_json(tmp_path / "numbers.jsonl", orient="records", lines=True)
    registry = shutil.copy(stand_ins / "training.yaml", tmp_path)
    found = items(load_registry(TRAINING_DATA, registry)["numbers"])
    table, left_out = choose(found, "numbers", None, processor, 99, "both", 1)
    assert len(table) == 7 and left_out == {"row can't be used": 1}


def test_items_are_those_of_the_table(processor, sources):
    parts = [
        choose(items(sources[name]), name, 3, processor, 999, "both", 1)[0]
        for name in ("cards", "numbers")
    ]
    table = pd.concat(parts, ignore_index=True)
    found = data_set_problems(table, sources)
    assert [(item.benchmark, item.id) for item in found.items] == list(
        zip(table["source"], table["problem_id"], strict=True)
    )
    assert [item.id for item in found.items[1:3]] == table["problem_id"].tolist()[1:3]
    some = found.some([5, 0])
    assert [item.id for item in some.items] == table["problem_id"].iloc[[5, 0]].tolist()
    assert some.table["problem_id"].tolist() == table["problem_id"].iloc[[5, 0]].tolist()
    assert some.repeated(2)["row"].tolist() == table["row"].iloc[[5, 5, 0, 0]].tolist()
    other = (table["row"].iloc[-1] + 1) % 8
    for change in ({"row": other}, {"row": 70}, {"problem_id": "another"}):
        with pytest.raises(UserError, match="has changed since the problems were chosen"):
            data_set_problems(table.tail(1).assign(**change), sources).items[0]


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


def test_places_of_pictures_stay_where_they_are_and_language_models_get_text():
    content = [{"type": "text", "text": "a"}, {"type": "image", "image": object()}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": content}]
    assert placed(messages, pictures=True) == [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
    ]
    assert placed([{"role": "user", "content": content[:1]}], pictures=False) == [
        {"role": "user", "content": "a"}
    ]


# ---------------------------------------------------------------------------- the small world


def test_the_small_worlds_problems_are_of_their_split_in_every_presentation(capsys):
    world, table = load_world(), choose_problems(load_config("smoke"), "cold-start")
    assert len(table) == 3 * 6 * 2 and table["presentation"].tolist()[:2] == ["text", "image"]
    found = world_problems(table, world, look=1)
    assert isinstance(found, Problems) and len(found) == 36
    problems = [problem_of(item.question.gold)[0] for item in found.items]
    assert {split_of(problem, world) for problem in problems} == {"train"}
    assert [problem.id for problem in problems] == table["problem_id"].tolist()
    assert [len(item.images) for item in found.items[:2]] == [0, 1]
    assert "level 'hard': 6 train problems" in capsys.readouterr().out


def test_a_level_with_too_few_problems_gives_all_it_has():
    table = draw_table(load_world(), "train", ["easy"], ["text"], 500, seed=1)
    assert 300 < len(table) < 500 and table["problem_id"].is_unique


@pytest.mark.parametrize("change", [{"target": 51}, {"level": "hard"}, {"numbers": [[3, 60]]}])
def test_problems_of_another_world_are_refused(change):
    table = draw_table(load_world(), "train", ["easy"], ["text"], 1, seed=1)
    with pytest.raises(UserError, match=r"here: problem .*is none of this world"):
        world_problems(table.assign(**change), load_world(), 1, "here")
