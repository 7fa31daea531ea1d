"""F7 on tables small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import cold_start
from ares.errors import UserError
from ares.stats import Resampler

PROMPT = {"level": "easy", "presentation": "text"}


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


def test_tables_that_do_not_fit_are_refused():
    whole = evaluation(base=[1, 2, 3], adacs=[1, 2, 3], cs_vanilla=[1, 2, 3])
    with pytest.raises(UserError, match="no arm cs-vanilla"):
        cold_start.with_base_pass_rate(whole[whole["arm"] != "cs-vanilla"])
    with pytest.raises(UserError, match="different problems"):
        cold_start.with_base_pass_rate(whole.iloc[1:])
