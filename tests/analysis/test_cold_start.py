"""Figure 5's numbers and F7 on tables small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import cold_start
from ares.analysis.stats import Estimate, Resampler
from ares.errors import UserError

PROMPT = {"level": "easy", "presentation": "text"}


def three_sets() -> pd.DataFrame:
    """Pool: lengths 10, 20, 60 at pass rate 1 and 100, 200 at 0; adacs took 20 and 100."""
    pool = pd.DataFrame(
        {
            "problem_id": ["a", "a", "a", "b", "b"],
            "n_tokens": [10, 20, 60, 100, 200],
            "habit": ["direct", "search", "overcheck", "search", "search"],
            **PROMPT,
        }
    )
    pass_rates = pd.DataFrame({"problem_id": ["a", "b"], "pass_rate": [1.0, 0.0], **PROMPT})
    selection = pool.iloc[[1, 3]].assign(
        curation="adacs", pass_rate=[1.0, 0.0], target_tokens=[20.0, 150.0]
    )
    return cold_start.three_sets(pool, pass_rates, selection)


def evaluation(**lengths: list[float]) -> pd.DataFrame:
    """Problems with 0, 2 and 4 of 4 right by the base, and mean lengths per arm."""
    parts = [
        pd.DataFrame(
            {
                "problem_id": ["x", "y", "z"],
                "arm": arm.replace("_", "-"),
                "n_tokens": values,
                "correct": [0, 2, 4] if arm == "base" else [1, 3, 4],
                "samples": 4,
                **PROMPT,
            }
        )
        for arm, values in lengths.items()
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def table() -> pd.DataFrame:
    return cold_start.with_base_pass_rate(
        evaluation(base=[30, 20, 10], adacs=[90, 50, 10], cs_vanilla=[60, 40, 20])
    )


@pytest.fixture
def resampler(table) -> Resampler:
    return Resampler(table["problem_id"], table["level"], 50, 0.95, 0)


def test_the_spread_of_a_bracket_before_and_after_selection():
    found = cold_start.length_by_bracket(three_sets()).set_index(["set", "source", "pass_rate"])
    pool = found.loc["pool", "text", 1.0]
    assert (pool["traces"], pool["mean"], pool["median"]) == (3, 30.0, 20.0)
    assert (pool["q25"], pool["q75"]) == (15.0, 40.0) and np.isnan(pool["target"])
    chosen = found.loc["adacs", "text", 0.0]
    assert (chosen["traces"], chosen["mean"], chosen["target"]) == (1, 100.0, 150.0)


def test_lengths_are_counted_in_half_open_intervals():
    found = cold_start.length_counts(three_sets(), [0, 20, 100])
    pool = found[found["set"] == "pool"]
    assert pool["traces"].tolist() == [1, 2]  # 100 and 200 lie outside, 20 opens the second
    assert pool["share"].tolist() == [0.2, 0.4]


def test_the_papers_difficulty_is_one_minus_the_pass_rate():
    paper = pd.DataFrame(
        {"difficulty_score": [0.0, 0.5, 1.0], "mean_thought_length": [6000.0, 9000.0, 24000.0]}
    )
    found = cold_start.beside_paper(three_sets(), paper)
    assert found["difficulty"].tolist() == [0.0, 1.0]
    assert found["ours"].tolist() == [20.0, 100.0]
    assert found["ours_relative"].tolist() == [1.0, 5.0]
    assert found["paper_relative"].tolist() == [1.0, 4.0]


def test_every_model_is_placed_at_the_pass_rate_of_the_base(table):
    rates = table.pivot(index="problem_id", columns="arm", values="pass_rate")
    assert (rates.to_numpy() == [[0.0] * 3, [0.5] * 3, [1.0] * 3]).all()
    assert table.loc[table["arm"] == "adacs", "accuracy"].tolist() == [0.25, 0.75, 1.0]


def test_slopes_in_tokens_per_unit_of_pass_rate(table, resampler):
    found = cold_start.slopes(table, resampler).set_index(["presentation", "arm"])["value"]
    for part in ("all", "text"):
        assert found[part].round(9).to_dict() == {"base": -20, "cs-vanilla": -40, "adacs": -80}


def test_f7_is_positive_where_adacs_falls_more_steeply(table, resampler):
    assert cold_start.steeper(table, resampler)["all"].value == pytest.approx(40.0)
    against_base = cold_start.steeper(table, resampler, "cs-vanilla", "base")
    assert against_base["text"].value == pytest.approx(20.0)
    turned = cold_start.steeper(table, resampler, of="cs-vanilla", against="adacs")
    assert turned["all"].value == pytest.approx(-40.0)


def test_in_proportion_a_longer_model_is_not_steeper():
    lengths = {"base": [30, 20, 10], "cs_vanilla": [40, 20, 10], "adacs": [80, 40, 20]}
    table = cold_start.with_base_pass_rate(evaluation(**lengths))
    resampler = Resampler(table["problem_id"], table["level"], 0, 0.95, 0)
    assert cold_start.steeper(table, resampler)["all"].value == pytest.approx(30.0)
    in_proportion = cold_start.steeper(table, resampler, column="log_tokens")["all"]
    assert in_proportion.value == pytest.approx(0.0)


def test_the_difference_is_paired_over_problems():
    # The same noise in both models: it widens the interval of a slope, not of their difference.
    rng = np.random.default_rng(0)
    number = 300
    right = rng.integers(0, 5, number)
    noise = rng.normal(0, 30, number)
    frames = []
    for arm, steepness in (("base", 5), ("cs-vanilla", 10), ("adacs", 12)):
        frames.append(
            pd.DataFrame(
                {
                    "problem_id": [f"q{i}" for i in range(number)],
                    "arm": arm,
                    "n_tokens": 200 - steepness * right + noise,
                    "correct": right,
                    "samples": 4,
                    **PROMPT,
                }
            )
        )
    table = cold_start.with_base_pass_rate(pd.concat(frames, ignore_index=True))
    resampler = Resampler(table["problem_id"], table["level"], 200, 0.95, 0)
    found = cold_start.steeper(table, resampler)["all"]
    assert found.value == pytest.approx(8.0) and found.high - found.low < 1e-6


def test_what_was_taught_stands_beside_what_was_learned(table):
    found = cold_start.taught_and_learned(three_sets(), table)
    assert found.to_dict("list") == {
        "arm": ["adacs", "adacs"],
        "pass_rate": [0.0, 1.0],
        "taught": [100.0, 20.0],
        "learned": [90.0, 10.0],
    }
    slopes = cold_start.bracket_slopes(found)
    assert slopes.round(9).values.tolist() == [["adacs", -80.0, -80.0]]


def test_lengths_by_pass_rate_have_an_arm_and_a_presentation(table, resampler):
    found = cold_start.length_by_pass_rate(table, resampler)
    row = found.set_index(["arm", "presentation", "pass_rate"]).loc["adacs", "text", 0.5]
    assert row["value"] == 50.0 and row["rows"] == 1


def test_tables_that_do_not_fit_are_refused():
    whole = evaluation(base=[1, 2, 3], adacs=[1, 2, 3], cs_vanilla=[1, 2, 3])
    with pytest.raises(UserError, match="no arm cs-vanilla"):
        cold_start.with_base_pass_rate(whole[whole["arm"] != "cs-vanilla"])
    with pytest.raises(UserError, match="different problems"):
        cold_start.with_base_pass_rate(whole.iloc[1:])
    pool = pd.DataFrame({"problem_id": ["a"], "n_tokens": [1], "habit": ["direct"], **PROMPT})
    rates = pd.DataFrame({"problem_id": ["b"], "pass_rate": [1.0], **PROMPT})
    with pytest.raises(UserError, match="different runs"):
        cold_start.three_sets(pool, rates, pool)


def test_one_bracket_has_no_slope():
    both = pd.DataFrame({"arm": ["adacs"], "pass_rate": [0.0], "taught": [10.0], "learned": [12.0]})
    assert cold_start.bracket_slopes(both)[["slope_taught", "slope_learned"]].isna().all(axis=None)


def test_conclusions_are_made_of_the_numbers():
    claims = {"F7": Estimate(3.0, 1.0, 5.0)}
    both = pd.DataFrame(
        {"arm": "adacs", "pass_rate": [0.0, 1.0], "taught": [30.0, 10.0], "learned": [50.0, 10.0]}
    )
    said = cold_start.in_words(claims, {"all": Estimate(-1.0, -2.0, 0.5)}, both)
    assert said == [
        "F7: holds, by 3.0 [1.0, 5.0] tokens per unit of pass rate",
        "In proportion to its length AdaCS is steeper: undecided (-1.000 [-2.000, 0.500])",
        "adacs was taught a slope of -20.0 tokens and has learned -40.0, 2.00 times as steep",
    ]
