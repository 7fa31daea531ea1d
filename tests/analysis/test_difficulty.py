"""Figure 4b on a table small enough to check by hand, and length against HWE count."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ares.analysis import difficulty
from ares.stats import Resampler, slope


def group(problem: str, right: list[int], hwe: list[int], tokens: list[int]) -> pd.DataFrame:
    table = pd.DataFrame({"correct": np.array(right, bool), "hwe_count": hwe, "n_tokens": tokens})
    return table.assign(problem_id=problem, presentation="text", level="easy", finished=True)


@pytest.fixture
def table() -> pd.DataFrame:
    rollouts = pd.concat(
        [
            group("a", [1, 1, 1, 0], [0, 0, 2, 6], [10, 20, 30, 60]),  # pass rate 3/4: easy
            group("b", [0, 0, 0, 1], [1, 1, 2, 8], [40, 40, 40, 80]),  # 1/4: hard
        ],
        ignore_index=True,
    )
    rollouts = difficulty.add_buckets(rollouts)
    return rollouts.assign(right=rollouts["correct"] * 1.0, length=rollouts["n_tokens"] * 1.0)


@pytest.fixture
def resampler(table) -> Resampler:
    return Resampler(table["problem_id"], table["level"], 10, 0.95, 0)


def test_groups_are_split_at_the_mean_and_at_the_median(table):
    assert difficulty.split(table).tolist() == [False, False, False, True] * 2
    assert difficulty.split(table, "median").tolist() == [False, False, True, True] * 2
    halves = [group("a", [1, 1], [0, 0], [1, 1]), group("a", [0, 0], [0, 0], [1, 1])]
    halves[1]["presentation"] = "image"
    found = difficulty.add_buckets(pd.concat(halves, ignore_index=True))
    assert found["bucket"].tolist() == ["easy", "easy", "hard", "hard"]


def test_the_panels_by_hand(table, resampler):
    found = difficulty.figure4(table, resampler)
    value = found.set_index(["panel", "difficulty", "condition"])["value"]
    assert value["i", "easy", "below threshold"] == 1.0
    assert value["i", "easy", "above threshold"] == 0.0
    assert value["i", "hard", "above threshold"] == 1.0
    assert value["ii", "easy", "all"] == 30.0 and value["ii", "hard", "all"] == 50.0
    assert value["iii", "easy", "right"] == pytest.approx(2 / 3)
    assert value["iii", "hard", "right"] == 8.0
    assert value["iv", "easy", "wrong"] == 60.0 and value["iv", "hard", "wrong"] == 40.0
    assert np.isnan(value["ii", "medium", "all"])


def test_hwe_counts_of_a_preset(make_tokens):
    quiet, loud = [0.0] * 30, [0.0] * 5 + [4.0] * 5 + [0.0] * 20
    tokens = make_tokens(quiet, loud)
    tokens["lexicon"] = tokens["position"].isin([5, 8])
    counts = difficulty.hwe_counts(tokens, replace(difficulty.PRESETS["ares"], trigger="none"))
    # Of 54 windows the highest are 4, 4, 3, 3, 2, 2, 1, 1 nats; their 95th percentile is 3.
    assert counts.tolist() == [0, 4]
    counts = difficulty.hwe_counts(tokens, difficulty.PRESETS["ares"])
    assert counts.tolist() == [0, 1], "of positions 4 to 7, one is in the lexicon"


def test_claims_over_all_rollouts_and_within_prompts(table, resampler):
    found = {text: claim.value for text, claim in difficulty.claims(table, resampler).items()}
    assert found["F6 easy: right ones use fewer HWE tokens"] == pytest.approx(6 - 2 / 3)
    more = pd.concat([table, table.assign(problem_id=table["problem_id"] + "2", right=1.0)])
    more = more.reset_index(drop=True)
    more.loc[8:11, ["hwe_count", "correct", "pass_rate"]] = 20, True, 1.0  # easy, all right
    wide = Resampler(more["problem_id"], more["level"], 0, 0.95, 0)
    apart = {text: claim.value for text, claim in difficulty.claims(more, wide).items()}
    name = "F6 easy: right ones use fewer HWE tokens"
    assert apart[name] < 0, "the added prompt has many HWE tokens, and only right rollouts"
    assert apart[name + ", within prompts"] == pytest.approx(6 - 2 / 3)


def test_slopes_within_prompts_leave_differences_between_prompts_out(table, resampler):
    found = slope(resampler, difficulty.within_groups(table), "hwe_count", "length")
    centred = [(-2, -20), (-2, -10), (0, 0), (4, 30), (-2, -10), (-2, -10), (-1, -10), (5, 30)]
    within = sum(x * y for x, y in centred) / sum(x * x for x, _ in centred)
    assert found[0] == pytest.approx(within)


def test_the_chance_slope_is_what_random_hwe_tokens_give():
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 200, 20000)
    table = pd.DataFrame({"length": lengths * 1.0, "hwe_count": rng.binomial(lengths, 0.05)})
    table = table.assign(problem_id=[f"q{i}" for i in range(20000)], level="easy")
    resampler = Resampler(table["problem_id"], table["level"], 0, 0.95, 0)
    expected = np.polyfit(table["hwe_count"], table["length"], 1)[0]
    assert difficulty.chance_slope(resampler, table)[0] == pytest.approx(expected, rel=0.03)
