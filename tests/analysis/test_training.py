"""Curves over runs, time and groups, and trees of branching rollouts, on literal tables."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ares import plotting
from ares.analysis import training, trees

NAN = float("nan")


def steps(values: dict[tuple[str, int], list[float]], metric: str = "accuracy") -> pd.DataFrame:
    """Records of one metric over all buckets, from the values of every run."""
    rows = [
        (arm, seed, step, metric, "all", value)
        for (arm, seed), series in values.items()
        for step, value in enumerate(series, 1)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "step", "metric", "bucket", "value"])


def test_a_curve_is_the_mean_over_runs_with_the_lowest_and_the_highest():
    table = steps({("grpo", 1): [0.2, 0.4], ("grpo", 2): [0.6, 0.4], ("ares", 1): [0.1, 0.2]})
    curves = training.curves(table, ["accuracy"]).set_index(["arm", "step"])
    assert curves.loc[("grpo", 1), ["value", "low", "high", "runs"]].tolist() == [0.4, 0.2, 0.6, 2]
    assert curves.loc[("ares", 2), ["value", "runs"]].tolist() == [0.2, 1]
    assert curves.loc["ares", ["low", "high"]].isna().all().all()


def test_smoothing_is_within_a_run_and_shorter_at_the_ends():
    table = steps({("grpo", 1): [0, 3, 6, 0], ("grpo", 2): [0, 3, 6, 0]})
    curves = training.curves(table.sample(frac=1, random_state=0), ["accuracy"], smooth=3)
    assert curves["step"].tolist() == [1, 2, 3, 4]
    assert curves["value"].tolist() == [1.5, 3.0, 3.0, 3.0]


def test_a_batch_that_lacks_a_bucket_in_one_run_has_one_run_there():
    table = steps({("grpo", 1): [1, 2], ("grpo", 2): [5, 6]})
    curves = training.curves(table.drop(index=3), ["accuracy"])
    assert curves["runs"].tolist() == [2, 1]
    assert curves["value"].tolist() == [3, 2]


def test_metrics_that_no_arm_has_give_an_empty_table():
    assert training.curves(steps({("dapo", 1): [1.0]}), ["kl"]).empty


def test_validation_averages_cells_and_adds_the_mean_of_the_levels():
    rows = [
        ("ares", seed, 0, level, shown, accuracy, 10.0)
        for seed in (1, 2)
        for level, shown, accuracy in (
            *(("easy", "text", 1.0), ("easy", "image", 0.8)),
            *(("hard", "text", 0.2), ("hard", "image", 0.0)),
        )
    ]
    columns = ["arm", "seed", "step", "level", "presentation", "accuracy", "n_tokens"]
    curves = training.validation_curves(pd.DataFrame(rows, columns=columns))
    found = curves[curves["metric"] == "accuracy"].set_index("level")["value"]
    assert found.to_dict() == pytest.approx({"easy": 0.9, "hard": 0.1, "all": 0.5})
    assert set(curves.loc[curves["metric"] == "length", "value"]) == {10.0}


def test_first_and_last_compare_thirds_and_say_how_runs_differ():
    table = steps({("grpo", 1): [1, 1, 5, 5, 4, 2], ("grpo", 2): [0, 0, 9, 9, 4, 4]})
    (row,) = training.first_and_last(table, ["accuracy"]).to_dict("records")
    assert (row["first"], row["last"], row["change"]) == (0.5, 3.5, 3.0)
    assert (row["low"], row["high"], row["runs"]) == (2, 4, 2)


def test_first_and_last_of_two_batches_are_the_two():
    (row,) = training.first_and_last(steps({("ares", 1): [1, 3]}), ["accuracy"]).to_dict("records")
    assert row["change"] == 2 and np.isnan(row["low"])


def test_groups_per_batch():
    table = pd.concat(
        [
            steps({("dapo", 1): [4, 6], ("dapo", 2): [8, 8]}, "groups_dropped"),
            steps({("dapo", 1): [2, 2]}, "groups_refilled"),
        ]
    )
    counts = training.group_counts(table).set_index("quantity")
    assert counts.loc["uninformative", ["value", "low", "high"]].tolist() == [6.5, 5.0, 8.0]
    assert counts.loc["replaced", "value"] == 2


def test_seconds_are_those_of_the_run_over_its_batches():
    rows = [("ares", 1, 0, "validation", 4.0), ("ares", 1, 2, "validation", 4.0)]
    rows += [("ares", 1, step, "sampling", 5.0) for step in (1, 2)]
    rows += [("ares", 1, step, "update", 1.0) for step in (1, 2)]
    table = pd.DataFrame(rows, columns=["arm", "seed", "step", "phase", "seconds"])
    found = training.phase_seconds(table).set_index("phase")
    assert found["value"].to_dict() == {"validation": 4.0, "sampling": 5.0, "update": 1.0}
    assert found["share"].to_dict() == {"validation": 0.4, "sampling": 0.5, "update": 0.1}


def test_arms_come_in_one_order_and_unknown_ones_last():
    table = pd.DataFrame({"arm": ["mine", "grpo", "base", "ares", "grpo"]})
    assert training.arms_of(table) == ["base", "ares", "grpo", "mine"]
    assert training.arms_of(table, ["grpo", "mine"]) == ["grpo", "mine"]


# ---------------------------------------------------------------------------------------- trees


def tree(*rollouts: tuple[int, int, int, bool, str], prompt: int = 0, arm: str = "ares-branch"):
    """A group from (parent, branch_at, n_tokens, correct, text) of its rollouts."""
    own = ["parent", "branch_at", "n_tokens", "correct", "text"]
    table = pd.DataFrame(rollouts, columns=own).assign(
        arm=arm, seed=1, step=2, prompt_index=prompt, rollout=range(len(rollouts))
    )
    return table[["arm", "seed", "step", "prompt_index", "rollout", *own]]


ROOTS = tree((-1, 0, 9, True, "a b c"), (-1, 0, 7, False, "a d"), prompt=0)
ONE_TURNS = tree(
    (-1, 0, 9, True, "a b c d"),
    (-1, 0, 7, False, "e"),
    (0, 2, 5, False, "a b x y z w v"),
    (0, 6, 8, True, "a b c z"),
    (1, 3, 9, False, "e f"),
    prompt=1,
)
NONE_TURNS = tree((-1, 0, 9, True, "a"), *[(0, 4, 8, True, "a b")] * 4, prompt=2)
EMPTY = ROOTS.iloc[:0].astype(object)


def test_the_group_whose_branches_turn_most_is_shown():
    chosen = trees.choose(trees.typed(pd.concat([ROOTS, NONE_TURNS, ONE_TURNS])))
    assert set(chosen["prompt_index"]) == {1}


@pytest.mark.parametrize("table", [ROOTS, EMPTY])
def test_without_branches_there_is_no_tree_to_show(table):
    typed = trees.typed(table)
    assert trees.choose(typed).empty
    assert trees.lay_out(trees.choose(typed)).empty
    assert trees.statistics(typed).empty


def test_late_branches_stand_next_to_their_parent():
    layout = trees.lay_out(ONE_TURNS)
    assert layout["rollout"].tolist() == [0, 3, 2, 1, 4]
    assert layout["parent_row"].tolist() == [-1, 0, 0, -1, 3]
    assert layout["start"].tolist() == [0, 6, 2, 0, 3]


def test_a_branch_of_a_branch_stands_under_it():
    nested = tree((-1, 0, 9, True, "a"), (0, 2, 8, True, "a b"), (1, 5, 9, False, "a b c"))
    layout = trees.lay_out(nested)
    assert layout["rollout"].tolist() == [0, 1, 2]
    assert layout["depth"].tolist() == [0, 1, 2]


def test_no_connection_crosses_a_line():
    layout = trees.lay_out(ONE_TURNS)
    for child in layout[layout["parent_row"] >= 0].itertuples():
        between = layout[(layout["row"] > child.parent_row) & (layout["row"] < child.row)]
        assert (between["start"] >= child.start).all()


def test_the_tree_can_be_read_as_text():
    assert trees.as_text(trees.lay_out(ONE_TURNS)).splitlines() == [
        "root 0           right  tokens   0 to   9",
        "|- branch 3      right  tokens   6 to   8  z ...",
        "|- branch 2      wrong  tokens   2 to   5  x y z w ...",
        "root 1           wrong  tokens   0 to   7",
        "|- branch 4      wrong  tokens   3 to   9  f ...",
    ]


def test_statistics_of_branching():
    (row,) = trees.statistics(trees.typed(pd.concat([ROOTS, ONE_TURNS]))).to_dict("records")
    assert (row["groups"], row["rollouts"], row["branches"]) == (1, 5, 3)
    assert row["shared"] == pytest.approx((2 / 5 + 6 / 8 + 3 / 9) / 3)
    assert row["turned"] == pytest.approx(1 / 3)
    assert row["roots_differ"] == 1.0


def test_the_tree_is_drawn_with_a_mark_where_each_branch_leaves():
    plotting.use_style()
    fig, ax = plt.subplots()
    plotting.rollout_tree(ax, trees.lay_out(ONE_TURNS))
    marks = [line for line in ax.lines if line.get_marker() == "D"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == [
        (6, 0),
        (2, 0),
        (3, 3),
    ]
    ends = [line.get_marker() for line in ax.lines if line.get_marker() in "ox"]
    assert ends == ["o", "o", "x", "x", "x"]
    plt.close(fig)


# -------------------------------------------------------------------------------------- drawing


def test_one_run_is_drawn_without_a_band_and_two_with_one():
    fig, (one, two) = plt.subplots(1, 2)
    rows = pd.DataFrame({"step": [2, 1], "value": [2.0, 1.0], "low": NAN, "high": NAN})
    plotting.band(one, rows, **plotting.model_style("grpo"))
    plotting.band(two, rows.assign(low=0.0, high=3.0), **plotting.model_style("grpo"))
    assert one.lines[0].get_xdata().tolist() == [1, 2]
    areas = [len(ax.collections[0].get_paths()) for ax in (one, two)]
    assert areas == [0, 1]
    plt.close(fig)


def test_intervals_over_problems_alone_are_thin():
    fig, ax = plt.subplots()
    rows = pd.DataFrame({"value": [1.0, 2.0], "low": [0.0, 1.0], "high": [2.0, 3.0]})
    rows["over"] = ["problems", "runs and problems"]
    plotting.dots(ax, [0, 1], rows, label="x", **plotting.OURS)
    assert [bars.lines[2][0].get_linewidths()[0] for bars in ax.containers] == [0.6, 1.3]
    assert len(ax.get_legend_handles_labels()[1]) == 1
    plt.close(fig)


def test_stacked_bars_say_large_shares_only():
    fig, ax = plt.subplots()
    table = pd.DataFrame({"a": [9.0, 1.0], "b": [1.0, NAN]}, index=["x", "y"])
    plotting.stacked_bars(ax, table, {"a": "#000000", "b": "#FFFFFF"}, least=0.2)
    assert [text.get_text() for text in ax.texts] == ["90%", "100%", "", ""]
    assert [text.get_color() for text in ax.texts[:2]] == ["white", "white"]
    plt.close(fig)


def test_all_models_can_be_told_apart_without_colour():
    styles = {**plotting.STARTS, **plotting.ARMS}
    assert len({str(style["linestyle"]) for style in styles.values()}) == len(styles)
    assert len({style["marker"] for style in styles.values()}) == len(styles)
    assert plotting.model_style("of my own") not in styles.values()
