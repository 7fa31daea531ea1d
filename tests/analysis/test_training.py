"""Curves over runs, and changes over a run, on literal tables."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ares import plotting
from ares.analysis import training

NAN = float("nan")


def steps(values: dict[tuple[str, int], list[float]], metric: str = "accuracy") -> pd.DataFrame:
    """Records of one metric over all buckets, from the values of every run."""
    rows = [
        (arm, seed, step, metric, "all", value)
        for (arm, seed), series in values.items()
        for step, value in enumerate(series, 1)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "step", "metric", "bucket", "value"])


def test_curves_are_means_over_the_runs_that_have_a_value():
    table = steps({("grpo", 1): [0.2, 0.4], ("grpo", 2): [0.6, 0.4], ("ares", 1): [0.1, 0.2]})
    curves = training.curves(table, ["accuracy"]).set_index(["arm", "step"])
    assert curves.loc[("grpo", 1), ["value", "low", "high", "runs"]].tolist() == [0.4, 0.2, 0.6, 2]
    assert curves.loc[("ares", 2), ["value", "runs"]].tolist() == [0.2, 1]
    assert curves.loc["ares", ["low", "high"]].isna().all().all()
    table = steps({("grpo", 1): [1, 2], ("grpo", 2): [5, 6]})
    curves = training.curves(table.drop(index=3), ["accuracy"])
    assert curves["runs"].tolist() == [2, 1]
    assert curves["value"].tolist() == [3, 2]
    assert training.curves(table, ["kl"]).empty
    table = steps({("grpo", 1): [0, 3, 6, 0], ("grpo", 2): [0, 3, 6, 0]})
    curves = training.curves(table.sample(frac=1, random_state=0), ["accuracy"], smooth=3)
    assert curves["step"].tolist() == [1, 2, 3, 4]
    assert curves["value"].tolist() == [1.5, 3.0, 3.0, 3.0]


def test_first_and_last_compare_thirds_and_say_how_runs_differ():
    table = steps({("grpo", 1): [1, 1, 5, 5, 4, 2], ("grpo", 2): [0, 0, 9, 9, 4, 4]})
    (row,) = training.first_and_last(table, ["accuracy"]).to_dict("records")
    assert (row["first"], row["last"], row["change"]) == (0.5, 3.5, 3.0)
    assert (row["low"], row["high"], row["runs"]) == (2, 4, 2)
    (row,) = training.first_and_last(steps({("ares", 1): [1, 3]}), ["accuracy"]).to_dict("records")
    assert row["change"] == 2 and np.isnan(row["low"])


def test_arms_come_in_one_order_and_unknown_ones_last():
    table = pd.DataFrame({"arm": ["mine", "grpo", "base", "ares", "grpo"]})
    assert training.arms_of(table) == ["base", "ares", "grpo", "mine"]
    assert training.arms_of(table, ["grpo", "mine"]) == ["grpo", "mine"]


def test_one_run_is_drawn_without_a_band_and_two_with_one():
    fig, (one, two) = plt.subplots(1, 2)
    rows = pd.DataFrame({"step": [2, 1], "value": [2.0, 1.0], "low": NAN, "high": NAN})
    plotting.band(one, rows, **plotting.model_style("grpo"))
    plotting.band(two, rows.assign(low=0.0, high=3.0), **plotting.model_style("grpo"))
    assert one.lines[0].get_xdata().tolist() == [1, 2]
    areas = [len(ax.collections[0].get_paths()) for ax in (one, two)]
    assert areas == [0, 1]
    plt.close(fig)
