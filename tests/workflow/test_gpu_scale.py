"""The scale `gpu`: its world, its model, its plan, and every stage of it at reduced sizes on a CPU."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from ares.base.corpus import draw_example
from ares.base.settings import load_base_config
from ares.coldstart.endpoint import chat_messages
from ares.coldstart.tune import training_set
from ares.config import load_config
from ares.io import read_table
from ares.model.tiny import Size, build_model, build_processor
from ares.paths import CONFIG, ROOT
from ares.sampling.rollouts import Task, encode
from ares.training.data import prompt_dataset
from ares.world.cards import CARD, draw_card
from ares.world.problem import Problem, draw_problems, random_problem, reachable, split_of
from ares.world.prompts import SYSTEM, VALUES, system_prompt
from ares.world.settings import load_world
from ares.world.teachers import draw_habit, respond
from ares.world.vocabulary import vocabulary

SCALE = load_config("gpu")
BASE = load_base_config(CONFIG / "base-gpu.yaml")
WORLD = load_world(SCALE["world"])
PAGE = (ROOT / "docs/gpu-scale.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------ the world


def test_base_model_and_scale_are_of_one_world_and_it_is_larger() -> None:
    assert BASE["world"] == SCALE["world"] == "config/world-gpu.yaml"
    small = load_world()
    assert max(WORLD.levels.values()) == 6 and max(small.levels.values()) == 4
    assert WORLD.numbers[1] > small.numbers[1] and WORLD.values[1] > small.values[1]
    assert WORLD.teacher.search_comparisons[1] > small.teacher.search_comparisons[1]
    assert WORLD.language == small.language, "the lexicon's words keep their meaning"


def test_splits_hold_enough_problems() -> None:
    # The level with the fewest numbers has the fewest problems, the smallest split the fewest of it.
    few = min(WORLD.levels, key=WORLD.levels.__getitem__)
    most = max(SCALE["adacs"]["per_level"], SCALE["aepo"]["per_level"])
    rng = np.random.default_rng(0)
    assert len({p.id for p in draw_problems(few, "train", most, WORLD, rng)}) == most
    drawn = draw_problems(few, "validation", SCALE["aepo"]["validation"]["per_level"], WORLD, rng)
    assert {split_of(problem, WORLD) for problem in drawn} == {"validation"}


def test_six_numbers_are_drawn_in_milliseconds() -> None:
    reachable.cache_clear()
    rng, start = np.random.default_rng(0), time.process_time()
    for _ in range(50):
        random_problem(6, WORLD, rng)
    assert (time.process_time() - start) / 50 < 0.02


def test_nearly_every_trace_fits_and_the_model_has_room_for_it() -> None:
    rng = np.random.default_rng(0)
    for level, share in (("easy", 0.99), ("medium", 0.95), ("hard", 0.8)):
        problems = [random_problem(WORLD.levels[level], WORLD, rng) for _ in range(150)]
        length = [len(respond(p, draw_habit(WORLD, rng), WORLD, rng).words) for p in problems]
        assert np.mean(np.array(length) < BASE["max_response"]) > share, level
    example = draw_example(WORLD, 1.0, BASE["max_response"], rng)
    assert len(example.response.split()) < BASE["max_response"]
    for limit in (
        SCALE["rollouts"]["max_new_tokens"],
        SCALE["aepo"]["max_new_tokens"],
        SCALE["evaluation"]["max_new_tokens"],
        BASE["evaluation"]["max_new_tokens"],
    ):
        assert BASE["max_response"] < limit <= BASE["size"]["context"] - 32


def test_every_number_is_a_word_and_fits_on_a_card() -> None:
    assert {str(n) for n in range(WORLD.values[0], WORLD.values[1] + 1)} <= set(vocabulary(WORLD))
    assert WORLD.numbers[1] < 100, "a card has room for two digits"
    card = draw_card(WORLD.numbers[1], np.random.default_rng(0))
    assert card.size == (CARD, CARD)


# ------------------------------------------------------------------------- what a model is told


def told(messages: list[dict]) -> str:
    [system] = [message for message in messages if message["role"] == "system"]
    return system["content"][0]["text"]


def test_the_system_message_states_the_range_that_the_verifier_holds_to() -> None:
    assert load_world().values == VALUES and SYSTEM == system_prompt(VALUES)
    assert SYSTEM.endswith("may leave the range 1 to 50.")
    assert WORLD.values == (1, 60) and "1 to 60." in system_prompt(WORLD.values)


def test_the_range_reaches_every_place_that_asks_a_model() -> None:
    expected, problem = system_prompt(WORLD.values), Problem((3, 8, 5), 19)
    asked: list[list[dict]] = []

    class Listener:
        """A processor that keeps the messages it is given."""

        def apply_chat_template(self, messages, **_):
            asked.append(messages)
            return ""

        def __call__(self, **_):
            return {"input_ids": [[1]]}

    encode([Task(problem, "easy", "text")], SimpleNamespace(config=None), Listener(), WORLD.values)
    assert told(asked[0]) == expected
    data = prompt_dataset({("easy", "text"): [problem]}, 1, 0, 0, WORLD.values)
    assert told(data[0]["prompt"]) == expected
    row = {"numbers": [3, 8, 5], "target": 19, "level": "easy", "presentation": "text"}
    selection = pd.DataFrame([{**row, "text": "<think>", "n_tokens": 2}])
    assert told(training_set(selection, 0, WORLD.values)[0]["prompt"]) == expected
    assert told(chat_messages(Task(problem, "easy", "text"), WORLD.values)) == expected


# ------------------------------------------------------------------------------------ the model


def test_the_model_has_20_to_60_million_parameters_and_the_page_says_how_many() -> None:
    processor = build_processor(WORLD)
    with torch.device("meta"):
        model = build_model(processor, Size(**BASE["size"]), seed=0)
    total = sum(p.numel() for p in model.parameters())
    visual = sum(p.numel() for p in model.model.visual.parameters())
    assert 20e6 < total < 60e6
    assert f"{total:,}" in PAGE and f"{visual:,}" in PAGE


# ------------------------------------------------------------------------------------- the plan


def planned(scale: str, folder: Path = ROOT, *targets: str) -> dict[str, int]:
    """Rule -> number of jobs, from a dry run."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--forceall", "--config", f"scale={scale}"]
        + (["--", *targets] if targets else []),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def test_the_scale_trains_its_base_first_and_five_seeds_of_every_arm() -> None:
    jobs = planned("gpu")
    assert jobs["base_gpu"] == 1 and "base" not in jobs
    arms = SCALE["aepo"]["arms"]
    assert len(arms) == 9 and {len(arm["seeds"]) for arm in arms.values()} == {5}
    assert jobs["train"] == 45 and jobs["evaluate"] == 48
    assert planned("gpu", ROOT, "results/gpu/pass_rates.parquet")["base_gpu"] == 1


@pytest.mark.parametrize("scale", ["laptop", "smoke"])
def test_other_scales_use_the_shipped_base(scale) -> None:
    assert not {"base", "base_gpu"} & set(planned(scale))


def test_the_page_says_how_long_and_that_it_was_not_tried() -> None:
    assert "not been run on a GPU" in PAGE
    for word in ("timeout", "--unlock", "--rerun-incomplete", "--cores", "/dev/shm"):
        assert word in PAGE, word
    commands = re.findall(r"^( *.*snakemake .*)$", PAGE, re.MULTILINE)
    assert any("scale=gpu" in command for command in commands)
