"""Scores from small tables whose values can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from ares.errors import UserError
from ares.evaluation.metrics import interval, scores
from ares.evaluation.registry import load_registry
from ares.tables import columns_of

NAN = float("nan")


def named(name, **changes):
    return load_registry()[name].model_copy(update=changes)


def rows(*given):
    """One row per response: id, sample, status, and what else differs from a plain item."""
    table = []
    for name, sample, status, more in ((*each, {})[:4] for each in given):
        came = status != "failed"
        row = {"id": name, "group": name, "variant": "", "sample": sample, "status": status}
        row |= {"correct": status == "right", "finish": "stop" if came else ""}
        table.append({**row, "n_tokens": 10.0 if came else NAN, **more})
    return pd.DataFrame(table)


def only(table):
    """The one row of a table, as a mapping."""
    (row,) = table.to_dict("records")
    return row


def test_pass_at_1_counts_everything_that_is_not_right_as_not_right():
    table = rows(
        ("a", 0, "right", {"n_tokens": 30.0}),
        ("b", 0, "wrong", {"finish": "length"}),
        ("c", 0, "no answer", {"finish": "length"}),
        ("d", 0, "ungradable", {"n_tokens": 40.0}),
        ("e", 0, "failed"),
    )
    found = scores(table, named("MATH500"))
    assert list(found.columns) == columns_of("scores", "benchmark")[1:-1]
    row = only(found)
    assert (row["benchmark"], row["metric"], row["score"]) == ("MATH500", "pass@1", 20.0)
    assert (row["n_items"], row["n_groups"], row["samples"]) == (5, 5, 1)
    assert (row["no_answer"], row["ungradable"], row["failed"]) == (1, 1, 1)
    assert row["n_tokens"] == (30 + 10 + 10 + 40) / 4
    assert row["finished"] == 2 / 4  # of those that are responses
    assert 0 <= row["ci_low"] < 20 < row["ci_high"] <= 100


def test_average_at_k_is_the_mean_over_items_and_samples():
    right = {("a", 0), ("a", 1), ("a", 2), ("b", 3)}
    table = rows(*((i, s, "right" if (i, s) in right else "wrong") for i in "ab" for s in range(4)))
    row = only(scores(table, named("AIME25")))
    assert (row["metric"], row["score"], row["samples"], row["n_items"]) == ("average@4", 50, 4, 2)


def variants(group, verdicts, sample=0):
    return [
        (f"{group}/v{n}", sample, verdict, {"group": group, "variant": f"v{n}"})
        for n, verdict in enumerate(verdicts)
    ]


def test_worst_case_needs_all_variants_sample_by_sample():
    table = rows(
        *variants("q1", ["right"] * 10),
        *variants("q2", ["right"] * 9 + ["wrong"]),
        *variants("q3", ["right"] * 9 + ["failed"]),
        *variants("q4", ["wrong"] * 10),
    )
    worst, average = scores(table, named("DynaMath-W")).to_dict("records")
    assert (worst["metric"], worst["score"]) == ("worst", 25.0)
    assert (average["metric"], average["score"]) == ("average", 70.0)
    assert (worst["n_items"], worst["n_groups"], worst["failed"]) == (40, 4, 1)
    # Each sample misses another variant: the question is never right as a whole.
    never = rows(*variants("q", ["right", "wrong"], 0), *variants("q", ["wrong", "right"], 1))
    assert scores(never, named("DynaMath-W"))["score"].tolist() == [0, 50]
    half = rows(*variants("q", ["right", "right"], 0), *variants("q", ["wrong", "wrong"], 1))
    assert scores(half, named("DynaMath-W"))["score"].tolist() == [50, 50]


def problem(group, steps, whole, sample=0):
    """A We-Math problem: verdicts of its steps and of the whole, R or W."""
    names = [f"{len(steps)}steps_{n}" for n in range(1, len(steps) + 1)]
    names.append(f"{len(steps)}steps_multi")
    return [
        (f"{group}/{key}", sample, {"R": "right", "W": "wrong"}[verdict],
         {"group": group, "variant": key})
        for key, verdict in zip(names, steps + whole, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "whole", "strict", "loose"),
    [
        ("RR", "R", 100, 100),  # complete mastery
        ("RW", "R", 0, 100),  # rote memorisation, by the strict rule only
        ("WW", "R", 0, 0),  # rote memorisation
        ("RR", "W", 50, 50),  # inadequate generalisation
        ("RW", "W", 0, 0),  # insufficient knowledge
        ("RRW", "R", 0, 100),
    ],
)
def test_the_kinds_of_mastery(steps, whole, strict, loose):
    found = scores(rows(*problem("0", steps, whole)), named("WeMath-S"))
    assert found["metric"].tolist() == ["strict", "loose", "average"]
    assert found["score"].tolist()[:2] == [strict, loose]


def test_we_math_by_its_own_formula_and_over_samples():
    # (N - IG/2 - RM - IK) / N with one of each kind of two steps, and a mastered one of three.
    table = rows(
        *problem("1", "RR", "R"),
        *problem("2", "RW", "R"),
        *problem("3", "RR", "W"),
        *problem("4", "WW", "W"),
        *problem("1", "RRR", "R"),  # three-step problems have numbers of their own
    )
    strict, loose, average = scores(table, named("WeMath-S")).to_dict("records")
    assert strict["score"] == 100 * (5 - 0.5 * 1 - 1 - 1) / 5
    assert loose["score"] == 100 * (5 - 0.5 * 1 - 0 - 1) / 5
    assert average["score"] == pytest.approx(100 * 11 / 16)
    assert (strict["n_items"], strict["n_groups"]) == (16, 4)
    table = rows(*problem("0", "RR", "R", 0), *problem("0", "WR", "R", 1))
    assert scores(table, named("WeMath-S"))["score"].tolist()[:2] == [50, 100]


@pytest.mark.parametrize("missing", ["2steps_multi", "2steps_1"])
def test_we_math_needs_whole_problems(missing):
    table = rows(*problem("7", "RR", "R"))
    with pytest.raises(UserError, match="problem 7/2steps: not one whole question with all its"):
        scores(table[table["variant"] != missing], named("WeMath-S"))


def test_rows_that_are_not_of_one_run_are_refused():
    for table, message in (
        (rows(("a", 0, "right"), ("a", 1, "right"), ("b", 0, "wrong")), "have 1 to 2 samples in 3"),
        (rows(("a", 0, "right"), ("a", 0, "wrong")), "score rows of one run only"),
        (rows(("a", 0, "right")).head(0), "there are no responses to score"),
    ):
        with pytest.raises(UserError, match=message):
            scores(table, named("AIME25"))


def test_lengths_that_nobody_knows_and_intervals_of_one_question_or_all_right():
    row = only(scores(rows(("a", 0, "right", {"n_tokens": NAN})), named("GSM8K")))
    assert np.isnan(row["n_tokens"]) and np.isnan(row["ci_low"]) and np.isnan(row["ci_high"])
    row = only(scores(rows(("a", 0, "right"), ("b", 0, "right")), named("GSM8K")))
    assert (row["score"], row["ci_low"], row["ci_high"]) == (100, 100, 100)


def test_intervals_are_normal_and_over_groups():
    units = pd.DataFrame({"total": [1.0] * 120 + [0.0] * 280, "number": 1})
    low, high = interval(units)
    half = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.006)
    assert (low, high) == interval(units)  # seeded
    # Ten copies of every answer are no more questions than one.
    table = rows(*((f"q{n}", 0, "right" if n % 2 else "wrong") for n in range(40)))
    copied = pd.concat([table.assign(sample=sample) for sample in range(10)])
    once, ten = (only(scores(t, named("AIME25"))) for t in (table, copied))
    assert (once["ci_low"], once["ci_high"]) == (ten["ci_low"], ten["ci_high"])
