"""Curation: uniform brackets, nearest lengths, medians, and what happens when something lacks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.coldstart.curate import (
    curate,
    end_lengths,
    equal_quotas,
    selected,
    spread_over_problems,
    target_length,
    with_pass_rates,
)
from ares.errors import UserError


def traces(*rows: tuple) -> pd.DataFrame:
    """A pool from (problem, pass rate, length[, source]) rows; the text names the row."""
    table = pd.DataFrame(
        [(*row, "text")[:4] for row in rows],
        columns=["problem_id", "pass_rate", "n_tokens", "presentation"],
    )
    texts = [f"t{i}" for i in range(len(table))]
    return table.assign(level="easy", habit="search", trace=0, text=texts)


def curated(pool: pd.DataFrame, curation: str, *sizes: int, seed: int = 0) -> tuple:
    """Selection and report of one curation."""
    selection, report = curate(pool, *sizes, seed=seed)
    return tuple(
        part[part["curation"] == curation].reset_index(drop=True) for part in (selection, report)
    )


def test_the_target_is_a_line_from_l0_to_l1():
    ends = {0.0: 120.0, 1.0: 20.0}
    assert [target_length(p, ends) for p in (0, 0.25, 0.5, 1)] == [120.0, 95.0, 70.0, 20.0]


def test_l0_and_l1_are_medians_or_read_off_the_line_through_them():
    pool = traces(
        *(("a", 0.0, n) for n in (50, 90, 400)),
        *(("b", 1.0, n) for n in (10, 12, 20, 99)),
        ("c", 0.5, 7),
    )
    assert end_lengths(pool) == ({0.0: 90.0, 1.0: 16.0}, [])
    pool = traces(("a", 0.5, 60), ("b", 0.75, 40), ("b", 0.75, 50), ("c", 1.0, 30))
    # The medians 60, 45, 30 lie on a line that reaches 90 at pass rate 0.
    assert end_lengths(pool) == (pytest.approx({0.0: 90.0, 1.0: 30.0}), [0.0])
    # Medians at one pass rate alone are the target of all.
    assert end_lengths(pool[pool["pass_rate"] == 0.75]) == ({0.0: 45.0, 1.0: 45.0}, [0.0, 1.0])
    assert end_lengths(traces(("a", 0.0, 100), ("b", 0.25, 10)))[0][1.0] == 1.0


@given(st.integers(0, 60), st.lists(st.integers(0, 20), min_size=1, max_size=9))
def test_quotas_give_all_that_is_asked_or_all_there_is(size, candidates):
    quotas = equal_quotas(size, candidates)
    assert sum(quotas) == min(size, sum(candidates))
    assert all(quota <= held for quota, held in zip(quotas, candidates, strict=True))
    # Only a bracket that has given all may have given less than another, but for the remainder.
    most = max(quotas)
    pairs = zip(quotas, candidates, strict=True)
    assert all(quota >= most - 1 for quota, held in pairs if quota < held)


def test_every_problem_comes_once_before_any_comes_twice():
    pool = traces(("a", 0.5, 50), ("a", 0.5, 51), ("a", 0.5, 52), ("b", 0.5, 80), ("c", 0.5, 90))
    distance = np.abs(pool["n_tokens"].to_numpy() - 50)
    chosen = spread_over_problems(pool, distance, 4)
    assert chosen["text"].tolist() == ["t0", "t3", "t4", "t1"]


def pool_of_three_brackets() -> pd.DataFrame:
    """Pass rates 0, 1/2 and 1 of two samples; medians 100 and 20, lengths from 10 to 190."""
    rng = np.random.default_rng(0)
    rows = []
    for rate, middle in ((0.0, 100), (0.5, 60), (1.0, 20)):
        lengths = middle + rng.permutation(np.arange(-45, 46))
        rows += [(f"{rate}-{i}", rate, max(1, int(n))) for i, n in enumerate(lengths)]
    return traces(*rows)


@pytest.mark.parametrize("curation", ["adacs", "cs-vanilla"])
def test_brackets_are_uniform_and_pass_rate_1_is_kept(curation):
    selection, report = curated(pool_of_three_brackets(), curation, 31, 2)
    assert list(selection.columns) == [
        *("curation", "problem_id", "presentation", "level", "pass_rate", "bracket"),
        *("target_tokens", "habit", "text", "n_tokens"),
    ]
    assert selection.groupby("bracket").size().to_dict() == {0.0: 11, 0.5: 10, 1.0: 10}
    assert report["selected"].tolist() == report["asked"].tolist() == [11, 10, 10]
    assert (selection["bracket"] == selection["pass_rate"]).all()
    assert selection["text"].is_unique


def test_adacs_stays_near_the_target_and_the_baseline_does_not():
    pool = pool_of_three_brackets()
    near, _ = curated(pool, "adacs", 30, 2)
    assert near.groupby("bracket").size().tolist() == [10, 10, 10]
    assert near.groupby("bracket")["target_tokens"].first().tolist() == [100.0, 60.0, 20.0]
    # Ten of the 91 lengths around a middle: the nearest are five on either side at most.
    assert (near["n_tokens"] - near["target_tokens"]).abs().max() <= 5
    blind, _ = curated(pool, "cs-vanilla", 30, 2)
    assert blind["target_tokens"].isna().all()
    assert blind.groupby("bracket")["n_tokens"].std().min() > 10


def test_sources_get_equal_shares_and_the_report_says_what_lacked():
    pool = pd.concat(
        [
            traces(*(("a", 0.0, 100), ("b", 1.0, 10)) * 20),
            traces(*(("c", 0.0, 60, "image"), ("d", 1.0, 40, "image")) * 20),
        ]
    )
    selection, report = curated(pool, "adacs", 9, 1)
    assert selection.groupby("presentation").size().to_dict() == {"image": 5, "text": 4}
    assert report["target_tokens"].tolist() == [60.0, 40.0, 100.0, 10.0]
    pool = traces(*(("a", 0.5, 50 + i) for i in range(2)), *(("b", 1.0, i) for i in range(1, 31)))
    selection, report = curated(pool, "adacs", 12, 2)
    assert report["asked"].tolist() == [4, 4, 4]
    assert report["candidates"].tolist() == [0, 2, 30]
    assert report["selected"].tolist() == [0, 2, 10] and len(selection) == 12
    assert report["note"].tolist() == [
        "empty: its share goes to the others; L(0) from the line through the medians",
        "too few candidates",
        "takes what others lack",
    ]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
            st.integers(1, 99),
            st.sampled_from(["text", "image"]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(["adacs", "cs-vanilla"]),
    st.integers(1, 30),
)
def test_a_selection_is_part_of_the_pool_and_repeats_itself(rows, curation, size):
    pool = traces(*rows)
    selection, report = curated(pool, curation, size, 4, seed=7)
    assert selection["text"].is_unique and set(selection["text"]) <= set(pool["text"])
    assert len(selection) == report["selected"].sum() <= size
    again, _ = curated(pool, curation, size, 4, seed=7)
    pd.testing.assert_frame_equal(selection, again)


def test_pass_rates_are_joined_by_problem_and_an_absent_curation_is_told():
    pool = traces(("a", 0.0, 9), ("a", 0.0, 9, "image")).drop(columns="pass_rate")
    rates = traces(("a", 0.25, 0), ("a", 0.75, 0, "image"))
    assert with_pass_rates(pool, rates)["pass_rate"].tolist() == [0.25, 0.75]
    # A problem of which a request failed has no pass rate.
    assert with_pass_rates(pool, rates.head(1))["presentation"].tolist() == ["text"]
    with pytest.raises(UserError, match="no trace of the pool is of a problem with a pass rate"):
        with_pass_rates(pool, rates.assign(problem_id="b"))
    selection, _ = curate(traces(("a", 0.0, 9)), 1, 1, seed=0)
    assert len(selected(selection, "adacs")) == 1
    with pytest.raises(UserError, match="no curation 'vanilla'; there are adacs, cs-vanilla"):
        selected(selection, "vanilla")
