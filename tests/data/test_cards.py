"""Pictures: reproducible, varied, and refused when they are none."""

import numpy as np

from ares.data.cards import CARD, draw_card, draw_cards
from ares.data.countdown import Problem
from ares.data.world import messages, picture


def test_cards_and_pictures_are_reproducible() -> None:
    row = draw_cards((3, 18, 5), seed=1)
    assert row.size == (3 * CARD, CARD) and row.mode == "RGB"
    assert np.array_equal(row, draw_cards((3, 18, 5), seed=1))
    assert not np.array_equal(row, draw_cards((3, 18, 5), seed=2))
    one, same, turned, other = (
        picture(Problem(numbers, 11), seed).tobytes()
        for numbers, seed in (((3, 8), 0), ((3, 8), 0), ((8, 3), 0), ((3, 8), 1))
    )
    assert one == same and one != turned and one != other


def test_every_card_shows_ink_and_the_whole_number_fits() -> None:
    rng = np.random.default_rng(0)
    for number in range(1, 100):
        card = np.asarray(draw_card(number, rng)).astype(int)
        ground = np.median(card.reshape(-1, 3), axis=0)
        assert (np.abs(card - ground).sum(-1) > 100).sum() > 8


def test_messages_of_both_presentations() -> None:
    text = messages(Problem((3, 8), 11), "text")[-1]["content"]
    assert text == [{"type": "text", "text": "numbers 3 8 target 11"}]
    shown = messages(Problem((3, 8), 11), "image")[-1]["content"]
    assert [part["type"] for part in shown] == ["image", "text"]
    assert "8" not in shown[1]["text"]
