"""The data of a run: the order of prompts, what a row holds, how it is tokenised and graded."""

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.data.countdown import Problem
from ares.data.items import Problems
from ares.data.world import countdown_item, picture, problem_of
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.model.load import load_policy
from ares.sampling.rollouts import encode
from ares.training.data import Verifier, prompt_dataset, prompt_order, text_of
from ares.training.rollouts import encoded

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)
COUNT, SEED = st.integers(0, 60), st.integers(0, 1000)
KINDS = ["text", "image"]
fast = settings(deadline=None, derandomize=True, max_examples=60)


@fast
@given(SIZES, COUNT, COUNT, SEED)
def test_cells_come_equally_often_and_members_before_any_comes_again(sizes, count, more, seed):
    order = prompt_order(sizes, count, seed)
    assert len(order) == count
    assert all(0 <= member < sizes[cell] for cell, member in order)
    times = [sum(c == cell for c, _ in order) for cell in range(len(sizes))]
    assert max(times) - min(times) <= (count % len(sizes) > 0)
    for cell, size in enumerate(sizes):
        members = [member for c, member in order if c == cell]
        for start in range(0, len(members), size):
            turn = members[start : start + size]
            assert len(set(turn)) == len(turn)
    assert prompt_order(sizes, count + more, seed)[:count] == order  # a longer one begins with it


@pytest.mark.parametrize("sizes", [[], [3, 0]])
def test_an_empty_cell_is_refused(sizes):
    with pytest.raises(UserError, match="no prompts to train on"):
        prompt_order(sizes, 4, seed=0)


def test_a_row_holds_what_the_prompt_and_the_verifier_need():
    problem = Problem((4, 3), 12)
    table = pd.DataFrame({"problem_id": problem.id, "level": "easy", "presentation": KINDS})
    items = [countdown_item(problem, kind, look=7) for kind in KINDS]
    rows = prompt_dataset(Problems(table, items), 2, seed=0)
    by_kind = {row["source"]: row for row in rows}
    for kind, row in by_kind.items():
        assert row["problem_id"] == "3-4=12" and row["answer"] == "countdown"
        assert row["gold"] == "numbers 4 3 target 12"  # in the order shown
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert len(row["images"]) == {"text": 0, "image": 1}[kind]
    assert "4 3" in str(by_kind["text"]["prompt"]) and "4 3" not in str(by_kind["image"]["prompt"])
    (drawn,) = by_kind["image"]["images"]
    assert drawn.tobytes() == picture(problem, 7).tobytes()
    assert drawn.tobytes() != picture(problem, 8).tobytes()


def test_prompts_are_tokenised_as_everywhere_else(scenes, made, lively_folder):
    """Ids and pixels of a row equal those of `ares.sampling.rollouts.encode`, bit for bit."""
    rows = list(scenes.dataset(6))
    made = made()
    ours = encoded(made, rows)
    model, processor = load_policy(lively_folder)
    items = [countdown_item(problem_of(row["gold"])[0], row["source"], look=3) for row in rows]
    assert {row["source"] for row in rows} == set(KINDS)
    for one, other in zip(ours, encode(items, model, processor), strict=True):
        assert torch.equal(one.token_ids, other.token_ids)
        if other.pixel_values is None:
            assert one.pixel_values is None
        else:
            assert torch.equal(one.pixel_values, other.pixel_values)
            assert torch.equal(one.image_grid_thw, other.image_grid_thw)


def test_what_trl_scores_is_what_was_sampled(scenes, made):
    """The batch of a mixed group of prompts: every row's own prompt, response and pictures."""
    made = made()
    made.model.train()
    rows = [row for row in scenes.dataset(4) for _ in range(4)]
    batch = made._generate_and_score_completions(rows)
    prompts = encoded(made, rows[::4])
    groups = made.sampler.groups(made, rows[::4], (), 4)
    completions = [ids for group in groups for ids in group.completions]
    patches = 0
    for index, own in enumerate(completions):
        prompt = prompts[index // 4]
        ids = batch["prompt_ids"][index][batch["prompt_mask"][index].bool()]
        assert ids.tolist() == prompt.token_ids.tolist()
        ids = batch["completion_ids"][index][batch["completion_mask"][index].bool()]
        assert ids.tolist() == own
        shown = prompt.image_grid_thw is not None
        assert batch["num_images"][index] == int(shown)
        if shown:
            count = len(prompt.pixel_values)
            pixels = batch["pixel_values"][patches : patches + count]
            assert torch.equal(pixels, prompt.pixel_values)
            patches += count
    assert patches == len(batch["pixel_values"])


def test_a_verifier_of_ones_own_is_called_alike_for_every_source_of_rollouts(scenes, made):
    seen = []

    def curious(**columns):
        seen.append(set(columns) - {"log_extra", "log_metric"})
        assert len(columns["completions"]) == len(columns["problem_id"]) == 8
        return [0.0, 1.0] * 4

    for sampler in (None, scenes.FixedSampler()):
        made("ares", curious, sampler=sampler, data=scenes.dataset(4, ["text"])).train()
    assert len(seen) == 4 and all(names == seen[0] for names in seen)


COLUMNS = {"answer": ["countdown"] * 2, "choices": [[]] * 2, "question": [""] * 2}
RIGHT = "<think> 4 x 3 = 12 </think> \\boxed{ 4 x 3 = 12 }"


def test_the_verifier_takes_what_trl_hands_over():
    grade = Verifier(Grader())
    columns = {**COLUMNS, "gold": ["numbers 4 3 target 12", "numbers 4 3 target 7"]}
    assert grade([RIGHT, RIGHT], **columns) == [1.0, 0.0]
    chat = [[{"role": "assistant", "content": RIGHT}]] * 2
    assert grade(chat, **columns, prompts=[None] * 2, trainer_state=None) == [1.0, 0.0]
    assert text_of(chat[0]) == text_of(RIGHT) == RIGHT
