"""Imposed budgets: no end before so many comparisons, and an answer right after them."""

import pandas as pd
import pytest
import torch

from ares.data.countdown import Problem
from ares.data.items import Problems
from ares.data.world import countdown_item
from ares.data.world_settings import load_world
from ares.model.load import load_policy
from ares.model.tiny import build_processor
from ares.sampling.imposed import Imposed, first_success, generate, impose
from ares.sampling.rollouts import Sampling

WORLD = load_world()
SHOWN = ["text", "text", "image"]
PROBLEMS = Problems(
    pd.DataFrame({"level": ["easy", "hard", "medium"], "presentation": SHOWN}),
    [
        countdown_item(Problem(numbers, target), kind)
        for numbers, target, kind in zip(
            [(3, 8), (4, 9, 2, 13), (4, 9, 2)], [11, 24, 24], SHOWN, strict=True
        )
    ],
)


def test_the_rule_bars_the_end_then_leaves_the_answer_alone() -> None:
    tokenizer = build_processor(WORLD).tokenizer

    def allowed(comparisons: int, said: str, *, after_success: bool = True) -> set[str]:
        ids = tokenizer("numbers " + said, return_tensors="pt")["input_ids"]
        imposed = Imposed(tokenizer, WORLD.language, comparisons, 1, after_success=after_success)
        scores = imposed(ids, torch.zeros(1, len(tokenizer)))
        return set(tokenizer.convert_ids_to_tokens(torch.where(scores[0] == 0)[0]))

    ends = {"therefore", "hence", "thus", "guess", "maybe", "</think>", tokenizer.eos_token}
    everything = set(tokenizer.get_vocab())
    assert allowed(1, "") == everything
    assert allowed(1, "<think>") == everything - ends
    assert allowed(1, "<think> try 8 + 3 = 11 vs 11 yes") == everything
    assert allowed(1, "<think> try 8 + 3 = 11 vs 11 yes .") == {"therefore"}
    assert allowed(2, "<think> try 8 + 3 = 11 vs 11 yes .") == everything - ends
    said = "<think> try 8 + 3 = 11 vs 11 yes ."
    assert allowed(2, said, after_success=False) == everything, "it has found the answer"
    assert allowed(2, said.replace("yes", "no"), after_success=False) == everything - ends
    assert allowed(0, "<think>") == {"guess"}
    assert allowed(0, "<think> guess") == everything


@pytest.mark.parametrize("comparisons", [0, 2])
def test_a_trained_model_compares_as_often_as_it_must(comparisons: int) -> None:
    model, processor = load_policy("data/base")
    sampling = Sampling(2, 1.0, 1.0, max_new_tokens=400, batch_prompts=2, seed=0)
    imposed = (WORLD, sampling, comparisons)
    found = impose(model, processor, PROBLEMS, *imposed, after_success=True)
    assert list(found["level"]) == ["easy"] * 2 + ["hard"] * 2 + ["medium"] * 2
    assert set(found["comparisons"]) == {comparisons}
    assert found["first"].max() <= comparisons
    for item in PROBLEMS.items:
        for text in generate(model, processor, [item], *imposed, after_success=True):
            assert text.count(" vs ") == comparisons and text.count("\\boxed{") == 1


def test_the_first_success_is_the_first_candidate_that_solves_the_problem() -> None:
    said = "<think> try 8 - 3 = 5 vs 11 {} . but 8 + 3 = 11 vs 11 yes . wait . try 8 + 3 = 11 vs 11"
    problem = Problem((3, 8), 11)
    assert first_success(problem, said.format("no"), WORLD) == 2
    assert first_success(problem, said.format("yes"), WORLD) == 2, "its word is not believed"
    assert first_success(problem, "<think> guess </think> \\boxed{ 8 + 3 = 11 }", WORLD) == 0
