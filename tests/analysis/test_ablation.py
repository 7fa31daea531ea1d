"""Arms on the test problems: values and paired differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import ablation
from ares.config import load_config
from ares.errors import UserError
from ares.findings import Run, load_rules
from ares.findings.quantities import test_difference as found_difference
from tests.configs import changed

CONFIG = changed(load_config("smoke"), {"bootstrap": {"resamples": 400, "level": 0.95}, "seed": 1})


def model(arm: str, seed: int, right: dict[str, int], length: float = 50.0) -> pd.DataFrame:
    """A model that answers the first so many of ten problems of every level, all else being equal.

    Images have one right answer less and ten tokens more.
    """
    rows = [
        (arm, seed, f"{level}-{i}", level, shown, 1, int(i < number - (shown == "image")))
        for level, number in right.items()
        for shown in ("text", "image")
        for i in range(10)
    ]
    columns = ["arm", "seed", "problem_id", "level", "presentation", "samples", "correct"]
    table = pd.DataFrame(rows, columns=columns)
    table["n_tokens"] = length + 10 * (table["presentation"] == "image")
    return table.assign(hwe=1.0)


EVALUATION = pd.concat(
    [
        model("adacs", 0, {"easy": 6, "hard": 3}, 50),
        model("grpo", 1, {"easy": 8, "hard": 3}, 60),
        model("grpo", 2, {"easy": 6, "hard": 3}, 60),
        model("ares", 1, {"easy": 9, "hard": 5}, 45),
        model("ares", 2, {"easy": 9, "hard": 5}, 45),
        model("ares", 9, {"easy": 1, "hard": 1}, 45),  # a seed that grpo has not
        model("paper", 1, {"easy": 7, "hard": 3}, 60),
    ],
    ignore_index=True,
)


@pytest.fixture(scope="module")
def tested():
    return ablation.Evaluated(EVALUATION, CONFIG)


def test_a_value_is_the_mean_of_its_cells(tested):
    found = tested.value("paper", "accuracy")
    assert found.estimate.value == pytest.approx((0.7 + 0.6 + 0.3 + 0.2) / 4)
    assert (found.over, found.runs) == ("problems", 1)
    assert found.estimate.low < found.estimate.value < found.estimate.high
    assert tested.value("paper", "accuracy", "easy", "image").estimate.value == pytest.approx(0.6)
    assert tested.value("paper", "length", "hard").estimate.value == pytest.approx(65)


def test_a_value_of_several_runs_stays_within_what_it_can_be(tested):
    found = tested.value("ares", "accuracy", "easy", "text")
    assert (found.over, found.runs) == ("runs and problems", 3)
    assert found.estimate.value == pytest.approx(1.9 / 3)
    assert (found.estimate.low, found.estimate.high) == (0.0, 1.0)


def test_arms_are_compared_by_common_seeds(tested):
    found = tested.difference("ares", "grpo", "accuracy", "easy")
    assert found.runs == 2
    assert found.estimate.value == pytest.approx((0.1 + 0.3) / 2)
    assert tested.per_run("ares", "accuracy", "grpo") == pytest.approx([0.15, 0.25])


def test_one_common_seed_gives_no_interval(tested):
    found = tested.difference("paper", "grpo", "accuracy")
    assert (found.over, found.runs) == ("none", 1)
    assert found.estimate.value == pytest.approx(-0.05)
    assert np.isnan([found.estimate.low, found.estimate.high]).all()


def test_the_start_of_training_is_the_same_for_every_seed(tested):
    found = tested.difference("grpo", "adacs", "length", relative=True)
    assert found.runs == 2
    assert found.estimate.value == pytest.approx(10 / 55)
    assert found.estimate.low == pytest.approx(found.estimate.high) == pytest.approx(10 / 55)


def test_the_start_of_training_minus_an_arm_is_the_arm_minus_the_start_turned(tested):
    one = tested.difference("adacs", "grpo", "accuracy")
    other = tested.difference("grpo", "adacs", "accuracy").estimate
    turned = (-other.value, -other.high, -other.low)
    assert one.runs == 2 and one.estimate.value == pytest.approx(-0.05)
    assert (one.estimate.value, one.estimate.low, one.estimate.high) == pytest.approx(turned)


def test_absent_arms_give_no_number(tested):
    assert tested.value("dapo", "accuracy").runs == 0
    assert np.isnan(tested.difference("ares", "dapo", "accuracy").estimate.value)


def test_models_tested_on_different_problems_are_refused():
    with pytest.raises(UserError, match="tested on other problems"):
        ablation.Evaluated(EVALUATION.drop(index=EVALUATION.index[-1]), CONFIG)


def test_the_interval_is_that_of_the_findings(tested):
    rules = load_rules()
    run = Run(lambda name: {"evaluation": EVALUATION}[name], CONFIG, rules)
    theirs = found_difference(run, "ares", "grpo", "accuracy", "all").found
    ours = tested.difference("ares", "grpo", "accuracy").estimate
    assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)
