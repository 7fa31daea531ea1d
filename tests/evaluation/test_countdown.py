"""The small world's problems read back as the prompts its own models know."""

from __future__ import annotations

import pytest

from ares.config import load_config
from ares.data.countdown import Problem
from ares.data.problems import choose_problems
from ares.data.world import messages, picture
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.evaluation.countdown import write_countdown
from ares.evaluation.load import items
from ares.evaluation.registry import load_registry
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from tests.configs import changed

LEVELS = ["easy", "medium", "hard"]


@pytest.fixture
def written(tmp_path):
    world = load_world()
    file = write_countdown(tmp_path / "world", world, LEVELS, per_level=2, seed=1)
    return load_registry(file), world


def test_the_problems_are_those_of_the_small_worlds_evaluation(written):
    registry, _ = written
    changes = {"seed": 1, "evaluation.per_level": 2, "problems.levels": LEVELS}
    config = changed(load_config("smoke"), changes)
    table = choose_problems(config, "evaluation").query("presentation == 'text'")
    found = items(registry["countdown-text"])
    assert [item.id for item in found] == table["problem_id"].tolist()
    assert [item.tags["level"] for item in found] == table["level"].tolist()
    assert [item.question.gold for item in found] == [
        f"numbers {' '.join(map(str, numbers))} target {target}"
        for numbers, target in zip(table["numbers"], table["target"], strict=True)
    ]
    assert {item.question.answer for item in found} == {"countdown"}


@pytest.mark.parametrize("presentation", ["text", "image"])
def test_the_model_reads_what_the_small_world_shows_it(written, presentation):
    registry, world = written
    name = {"text": "countdown-text", "image": "countdown-cards"}[presentation]
    _, processor = load_policy(BASE_MODEL)

    def encoded(said, pictures):
        text = processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        return processor(text=[text], images=pictures or None, return_tensors="pt")

    for item in items(registry[name]):
        numbers, _, target = item.question.gold.removeprefix("numbers ").partition(" target ")
        problem = problem_of(numbers, target)
        own = messages(problem, presentation, world.values)
        shown = [picture(problem, 1)] if presentation == "image" else []
        assert item.messages[0]["content"] == own[0]["content"][0]["text"]
        ours, theirs = encoded(item.messages, item.images), encoded(own, shown)
        assert ours.keys() == theirs.keys()
        assert all((ours[key] == theirs[key]).all() for key in ours)


def problem_of(numbers, target):
    return Problem(tuple(map(int, numbers.split())), int(target))


def test_an_unknown_level_is_named(tmp_path):
    with pytest.raises(UserError, match="unknown level 'heroic'"):
        write_countdown(tmp_path, load_world(), ["heroic"], 1, 1)
