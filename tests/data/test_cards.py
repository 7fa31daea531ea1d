"""Pictures: reproducible, varied, and refused when they are none."""

from __future__ import annotations

import numpy as np
import pytest

from ares.data.cards import CARD, draw_card, draw_cards
from ares.data.countdown import Problem
from ares.data.world import messages, picture
from ares.errors import UserError


def test_a_row_of_cards_has_its_size_and_is_reproducible() -> None:
    row = draw_cards((3, 18, 5), seed=1)
    assert row.size == (3 * CARD, CARD) and row.mode == "RGB"
    assert np.array_equal(row, draw_cards((3, 18, 5), seed=1))
    assert not np.array_equal(row, draw_cards((3, 18, 5), seed=2))


def test_every_card_shows_ink_and_the_whole_number_fits() -> None:
    rng = np.random.default_rng(0)
    for number in range(1, 100):
        card = np.asarray(draw_card(number, rng)).astype(int)
        ground = np.median(card.reshape(-1, 3), axis=0)
        assert (np.abs(card - ground).sum(-1) > 100).sum() > 8


def test_the_picture_of_a_problem_depends_on_its_order_and_the_seed() -> None:
    one = picture(Problem((3, 8), 11), 0)
    assert np.array_equal(one, picture(Problem((3, 8), 11), 0))
    assert not np.array_equal(one, picture(Problem((8, 3), 11), 0))
    assert not np.array_equal(one, picture(Problem((3, 8), 11), 1))


def test_messages_of_both_presentations() -> None:
    text = messages(Problem((3, 8), 11), "text")[-1]["content"]
    assert text == [{"type": "text", "text": "numbers 3 8 target 11"}]
    shown = messages(Problem((3, 8), 11), "image")[-1]["content"]
    assert [part["type"] for part in shown] == ["image", "text"]
    assert "8" not in shown[1]["text"]
    with pytest.raises(UserError, match="unknown presentation 'sound'"):
        messages(Problem((3, 8), 11), "sound")
