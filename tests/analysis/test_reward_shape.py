"""Curves and leads of the entropy reward, on cases that can be done by hand."""

from __future__ import annotations

import math

import pytest

from ares.analysis.reward_shape import reward_curves, shape_checks, smallest_lead

CURVES = reward_curves(target=12, weight=0.5)


def value(form: str, bucket: str, answer: str, delta: int) -> float:
    rows = CURVES.query(
        "form == @form and bucket == @bucket and answer == @answer and delta == @delta"
    )
    return rows.reward.item()


def test_literal_points_of_the_curves() -> None:
    assert value("ares", "hard", "right", 12) == pytest.approx(0.25 * (1 - math.exp(-1)))
    assert value("ares", "easy", "right", 0) == 0
    assert value("released", "hard", "wrong", 0) == pytest.approx(0.5 * 0.5 * 1.2)
    assert value("paper", "easy", "wrong", 6) == pytest.approx(-0.5)
    assert value("paper", "easy", "right", 6) == 0


def test_our_form_follows_every_sentence_of_figure_9() -> None:
    assert set(shape_checks(CURVES).ares) == {"yes"}


def test_the_main_text_form_rewards_nothing() -> None:
    assert CURVES.query("form == 'paper'").reward.max() == 0
    assert shape_checks(CURVES).set_index("sentence").paper["hard, right: more is rewarded"] == "no"


@pytest.mark.parametrize("bucket", ["easy", "medium", "hard"])
def test_the_lead_of_ours_is_bounded_and_the_released_one_turns_on_hard(bucket: str) -> None:
    assert smallest_lead("ares", bucket, 80, 1.0)["lead"] >= 1 / 8
    released = smallest_lead("released", bucket, 80, 0.5)
    assert (released["lead"] < 0) == (bucket == "hard")


def test_the_released_inversion_can_be_done_by_hand() -> None:
    found = smallest_lead("released", "hard", 80, 0.5)
    assert found["right_count"] == 0 and found["target"] > 40
