"""Arms on the test problems: values and paired differences."""

import numpy as np
import pandas as pd
import pytest

from ares.analysis.comparison import Evaluated
from ares.errors import UserError
from ares.stats import Resampler
from tests.analysis.conftest import evaluation_of

EVALUATION = pd.concat(
    [
        evaluation_of("adacs", 0, {"easy": 6, "hard": 3}, 50),
        evaluation_of("grpo", 1, {"easy": 8, "hard": 3}, 60),
        evaluation_of("grpo", 2, {"easy": 6, "hard": 3}, 60),
        evaluation_of("ares", 1, {"easy": 9, "hard": 5}, 45),
        evaluation_of("ares", 2, {"easy": 9, "hard": 5}, 45),
        evaluation_of("ares", 9, {"easy": 1, "hard": 1}, 45),  # a seed that grpo lacks
        evaluation_of("paper", 1, {"easy": 7, "hard": 3}, 60),
    ],
    ignore_index=True,
)


def evaluated(table: pd.DataFrame) -> Evaluated:
    return Evaluated(table, Resampler(table["problem_id"], table["level"], 400, 0.95, 1))


@pytest.fixture(scope="module")
def tested() -> Evaluated:
    return evaluated(EVALUATION)


def test_a_value_is_the_mean_of_its_cells_within_what_it_can_be(tested):
    found = tested.value("paper", "accuracy")
    assert found.value == pytest.approx((0.7 + 0.6 + 0.3 + 0.2) / 4)
    assert (found.over, found.runs) == ("problems", 1)
    assert found.low < found.value < found.high
    assert tested.value("paper", "accuracy", "easy", "image").value == pytest.approx(0.6)
    assert tested.value("paper", "length", "hard").value == pytest.approx(65)
    found = tested.value("ares", "accuracy", "easy", "text")
    assert (found.over, found.runs) == ("runs and problems", 3)
    assert (found.value, found.low, found.high) == pytest.approx((1.9 / 3, 0.0, 1.0))


def test_arms_are_compared_by_common_seeds(tested):
    found = tested.difference("ares", "grpo", "accuracy", "easy")
    assert found.runs == 2
    assert found.value == pytest.approx((0.1 + 0.3) / 2)
    paired = tested.paired("ares", "grpo", "accuracy")
    assert {seed: draws[0] for seed, draws in paired.items()} == pytest.approx({1: 0.15, 2: 0.25})


def test_one_common_seed_gives_no_interval_and_an_absent_arm_no_number(tested):
    found = tested.difference("paper", "grpo", "accuracy")
    assert (found.over, found.runs) == ("none", 1)
    assert found.value == pytest.approx(-0.05)
    assert np.isnan([found.low, found.high]).all()
    assert tested.value("dapo", "accuracy").runs == 0
    assert np.isnan(tested.difference("ares", "dapo", "accuracy").value)


def test_the_start_of_training_is_the_same_for_every_seed(tested):
    found = tested.difference("grpo", "adacs", "length", relative=True)
    assert found.runs == 2
    assert (found.value, found.low, found.high) == pytest.approx([10 / 55] * 3)
    one = tested.difference("adacs", "grpo", "accuracy")
    other = tested.difference("grpo", "adacs", "accuracy")
    assert one.runs == 2 and one.value == pytest.approx(-0.05)
    turned = (-other.value, -other.high, -other.low)
    assert (one.value, one.low, one.high) == pytest.approx(turned)


def test_models_tested_on_different_problems_are_refused():
    with pytest.raises(UserError, match="tested on other problems"):
        evaluated(EVALUATION.drop(index=EVALUATION.index[-1]))
