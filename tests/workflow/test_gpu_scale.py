"""The scale `gpu`: its world, its model, its plan, and every stage at reduced sizes on a CPU."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from ares.config import load_config
from ares.data.cards import CARD, draw_card
from ares.data.countdown import Problem, draw_problems, random_problem, split_of
from ares.data.world import countdown_item, system_prompt, world_problems
from ares.data.world_settings import load_world
from ares.data.world_teachers import draw_habit, respond
from ares.evaluation.grader import Grader
from ares.io import read_table
from ares.model.base_corpus import draw_example
from ares.model.base_settings import load_base_config
from ares.model.tiny import build_model, build_processor, vocabulary
from ares.paths import CONFIG, ROOT
from ares.training.data import prompt_dataset
from ares.training.sft import training_set
from tests.configs import TINY, with_changes
from tests.stand_in import copy_repository, snakemake

SCALE = load_config("gpu")
BASE = load_base_config(CONFIG / "base-gpu.yaml")
WORLD = load_world(SCALE.world)
PAGE = (ROOT / "docs/gpu-scale.md").read_text(encoding="utf-8")


def test_base_model_and_scale_are_of_one_larger_world_with_the_same_words() -> None:
    assert BASE.world == SCALE.world == "config/world-gpu.yaml"
    assert max(WORLD.levels.values()) == 6 and max(load_world().levels.values()) == 4
    assert WORLD.language == load_world().language, "the lexicon's words keep their meaning"


def test_splits_hold_enough_problems() -> None:
    # The level with the fewest numbers has the fewest problems, the smallest split the fewest.
    few = min(WORLD.levels, key=WORLD.levels.__getitem__)
    most = max(SCALE.cold_start.per_level, SCALE.aepo.per_level)
    rng = np.random.default_rng(0)
    assert len({p.id for p in draw_problems(few, "train", most, WORLD, rng)}) == most
    drawn = draw_problems(few, "validation", SCALE.aepo.validation.per_level, WORLD, rng)
    assert {split_of(problem, WORLD) for problem in drawn} == {"validation"}


def test_nearly_every_trace_fits_and_the_model_has_room_for_it() -> None:
    rng = np.random.default_rng(0)
    for level, share in (("easy", 0.99), ("medium", 0.95), ("hard", 0.8)):
        problems = [random_problem(level, WORLD, rng) for _ in range(150)]
        length = [len(respond(p, draw_habit(WORLD, rng), WORLD, rng).words) for p in problems]
        assert np.mean(np.array(length) < BASE.max_response) > share, level
    example = draw_example(WORLD, 1.0, BASE.max_response, rng)
    assert len(example.response.split()) < BASE.max_response
    for stage in (SCALE.rollouts, SCALE.aepo, SCALE.evaluation, BASE.evaluation):
        assert BASE.max_response < stage.max_new_tokens <= BASE.size.context - 32


def test_every_number_is_a_word_and_fits_on_a_card() -> None:
    assert {str(n) for n in range(WORLD.values[0], WORLD.values[1] + 1)} <= set(vocabulary(WORLD))
    assert WORLD.numbers[1] < 100, "a card has room for two digits"
    card = draw_card(WORLD.numbers[1], np.random.default_rng(0))
    assert card.size == (CARD, CARD)


def test_the_range_of_the_world_reaches_every_place_that_asks_a_model_and_the_grader() -> None:
    def system(messages: list[dict]) -> str:
        [found] = [message for message in messages if message["role"] == "system"]
        return found["content"][0]["text"]

    assert system_prompt().endswith("may leave the range 1 to 50.")
    expected, problem = system_prompt(WORLD.values), Problem((3, 8, 5), 19)
    assert WORLD.values == (1, 60) and "1 to 60." in expected
    row = {"problem_id": problem.id, "level": "easy", "k": 3, "presentation": "text"}
    table = pd.DataFrame([{**row, "numbers": [3, 8, 5], "target": 19}])
    problems = world_problems(table, WORLD, look=0)
    assert system(problems.items[0].messages) == expected
    assert system(prompt_dataset(problems, 1, 0)[0]["prompt"]) == expected
    processor = build_processor(WORLD)
    assert system(training_set(problems, ["<think>"], [0], processor)[0]["prompt"]) == expected
    item = countdown_item(Problem((6, 9), 54), "text", values=WORLD.values)
    with Grader() as grader:
        assert grader.grade("\\boxed{ 9 x 6 = 54 }", item.question).correct
        shipped = countdown_item(Problem((6, 9), 54), "text").question
        assert grader.grade("\\boxed{ 9 x 6 = 54 }", shipped).note == "value out of range"


def test_the_model_has_20_to_60_million_parameters_and_the_page_says_how_many() -> None:
    processor = build_processor(WORLD)
    with torch.device("meta"):
        model = build_model(processor, BASE.size, seed=0)
    total = sum(p.numel() for p in model.parameters())
    visual = sum(p.numel() for p in model.model.visual.parameters())
    assert 20e6 < total < 60e6
    assert f"{total:,}" in PAGE and f"{visual:,}" in PAGE


# ------------------------------------------------------------------------- every stage, reduced

#: What is made smaller, and nothing else: the size of the model and the world stay.
SMALL_BASE = {
    "batch_tokens": 400,
    "chunk": 8,
    "workers": 1,
    "warmup": 1,
    "text": {"steps": 2, "lr": 1e-4},
    "eyes": {"steps": 2, "cards": 4, "lr": 1e-4},
    "joint": {"steps": 2, "lr": 1e-4, "image_share": 0.8},
    "evaluation": {"per_level": 2, "samples": 1, "max_new_tokens": 16, "batch_prompts": 4},
}
SMALL_SCALE = with_changes(
    TINY,
    {
        "rollouts": {"samples": 2, "max_new_tokens": 24, "batch_prompts": 4, "shards": 2},
        "bootstrap": {"resamples": 20},
        "cold_start.teachers": {"traces": 2},
        "aepo.steps": 2,
        "aepo.arms": {"ares": {"seeds": [1]}},
    },
)
del SMALL_SCALE["scale"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_stage_runs_at_this_model_size(tmp_path) -> None:
    copy_repository(tmp_path)
    for name, changes in (("base-gpu", SMALL_BASE), ("gpu", SMALL_SCALE)):
        path = tmp_path / f"config/{name}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    done = snakemake(tmp_path, "results/gpu/findings.csv", "--cores", "1", scale="gpu")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = tmp_path / "results"
    world = json.loads((results / "base-gpu/world.json").read_text())
    assert world["levels"] == {"easy": 3, "medium": 4, "hard": 6}
    assert "32,678,016 parameters" in (results / "base-gpu/README.md").read_text()
    assert set(read_table(results / "gpu/rollouts.parquet")["k"]) == {3, 4, 6}
    arms = set(read_table(results / "gpu/evaluation.parquet")["arm"])
    assert arms == {"base", "adacs", "cs-vanilla", "ares"}
