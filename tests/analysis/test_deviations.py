"""Paper against code, on rollouts small enough to see the answer."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from ares.analysis import deviation_steps, deviations


@pytest.fixture
def corpus(make_tokens) -> deviations.Corpus:
    """Four groups of two rollouts; one burst of entropy in each."""
    burst = [[0.1] * start + [3.0] * 4 + [0.1] * (16 - start) for start in range(1, 9)]
    tokens = make_tokens(*burst, lexicon=[i % 5 == 0 for i in range(160)])
    tokens["lexicon_top1"] = [i % 5 == 0 or i % 7 == 0 for i in range(160)]
    rollouts = pd.DataFrame({"rollout_id": range(8), "problem_id": list("aabbccdd")})
    rollouts = rollouts.assign(presentation="text", correct=[1, 0, 1, 1, 0, 0, 1, 0])
    return deviations.corpus(rollouts, tokens)


def test_groups_and_padding(corpus):
    assert corpus.group_B.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert corpus.entropy_BT.shape == (8, 20)


def test_the_windows_at_and_after_overlap_in_part(corpus):
    found = deviations.window_starts(corpus)
    # Each start selects the window that holds the whole burst, one token apart.
    assert found["HWE tokens of eq. 4 that are none in the release"] == 1.0
    assert found["HWE tokens of either on which both agree"] == 0.0


def test_five_thresholds(corpus):
    found = deviations.threshold_table(corpus).set_index("definition")
    assert found.index.tolist() == ["main text", "App. H", "Alg. 1", "released", "ares"]
    assert found.loc["App. H"].tolist() == pytest.approx([3.0, 0.2])


def one_group(correct: list[int]) -> deviations.Corpus:
    correct_B = torch.tensor(correct)
    unused = torch.zeros(len(correct), 1)
    return deviations.Corpus(*[unused] * 4, correct_B, torch.zeros_like(correct_B))


def test_the_bounds_move_groups_of_three_and_never_groups_of_eight():
    found = deviations.difficulty_bounds(one_group([1, 1, 0]))
    assert found["groups in another bucket"] == 1.0 and found["the smallest of them"] == 3
    for right in range(9):
        eight = one_group([1] * right + [0] * (8 - right))
        assert deviations.difficulty_bounds(eight)["groups in another bucket"] == 0.0


def test_lexicon_on_the_top_token_differs_from_the_sampled_one(corpus):
    found = deviations.lexicon_match(corpus)
    assert found["sampled triggers whose top-1 token is none"] == 0.0
    # Of 0..159, 32 are multiples of 5, 23 of 7, 5 of both: 18 of 50 top-1 triggers.
    assert found["top-1 triggers that were not sampled as one"] == pytest.approx(18 / 50)


def test_the_tail_only_ever_raises_the_entropy_and_its_threshold():
    rows = pd.DataFrame({"rollout_id": 0, "position": range(12), "sampled_logprob": -0.5})
    rows["top_logprobs"] = [[-0.5] + [-4.0 - 0.1 * i] * 9 for i in range(12)]
    rows["entropy"] = 2.0
    found = deviations.tail(rows)
    assert found["shift of the threshold"] < 0
    assert found["windows above it, released"] >= found["windows above it, with tail"]


def test_batches_hold_whole_groups_and_every_rollout_once(corpus):
    parts = deviation_steps.batches(corpus, 2, seed=0)
    assert sum(len(part.correct_B) for part in parts) == 8
    assert all(part.group_B.bincount().tolist() == [2, 2] for part in parts)


def test_the_printed_multiplier_is_zero(corpus):
    assert deviation_steps.printed_multiplier(deviation_steps.batches(corpus, 2, seed=0)) == 0.0


def test_a_wrong_answer_can_win_on_hard_problems_with_a_large_target_only():
    assert deviation_steps.smallest_inverting_target(2) == 41
    assert deviation_steps.smallest_inverting_target(0, largest=60) is None


def test_the_release_starts_without_a_threshold(corpus):
    parts = deviation_steps.batches(corpus, 2, seed=0)
    found = deviation_steps.late_threshold(parts)
    assert found["first threshold (nats)"] == -1.0
    first, later = (
        found[f"triggers per rollout, {when}"] for when in ("first step", "later steps")
    )
    assert first > later


def test_ours_never_inverts(corpus):
    found = deviation_steps.inversions(deviation_steps.batches(corpus, 2, seed=0))
    assert found.set_index("preset").loc["ares", "inverted"] == 0.0


def test_inversions_and_margins_by_hand(corpus):
    parts = deviation_steps.batches(corpus, 2, seed=0)
    found = deviation_steps.inversions(parts).set_index("preset")
    # The second step holds one mixed group, medium: right scores 1 and wrong .5 * .5 * .8 = .2.
    assert found["pairs"].tolist() == [1, 1, 1]
    assert found.loc["released", ["inverted", "margin"]].tolist() == pytest.approx([0.0, 0.8])


def test_the_filter_order_decides_which_reward_reaches_the_update(corpus):
    parts = deviation_steps.batches(corpus, 2, seed=0)
    found = deviation_steps.filter_order(parts)
    assert found["rollouts whose reward differs"] == 0.75
    assert found["rollouts kept, filter on the reward"] == 1.0
    assert found["rollouts kept, filter on accuracy"] == 0.5
    rewards = deviation_steps.reward_by_bucket(parts).dropna().set_index(["version", "name"])
    shipped, meant = (rewards.loc[v, "value"] for v in ("as shipped", "buckets first"))
    # Wrong rollouts below their margin: half the cap (.5, hard .6) times .6, .8, 1. As shipped,
    # every one is taken for easy.
    assert shipped[["medium, wrong", "hard, wrong"]].tolist() == pytest.approx([0.15, 0.15])
    assert meant[["medium, wrong", "hard, wrong"]].tolist() == pytest.approx([0.2, 0.3])


def test_kl_weights_and_branches_count_hwe_tokens(corpus):
    found = deviation_steps.kl_weights(deviation_steps.batches(corpus, 2, seed=0))
    # One window of each rollout's 20 tokens is high; rho is 0.3.
    assert found["tokens with the smaller weight"] == pytest.approx(1 / 20)
    assert found["mean weight relative to beta_d"] == pytest.approx(1 - 0.7 / 20)
    assert found["positions per rollout at which a branch would start"] == 1.0
