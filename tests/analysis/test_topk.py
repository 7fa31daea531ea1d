"""Entropy from the top k log-probabilities of a table row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis.topk import entropy_from_top, top_k_error
from ares.errors import UserError

PROBABILITY = np.array([0.5, 0.25, 0.125, 0.125])
EXACT = -(PROBABILITY * np.log(PROBABILITY)).sum()


def rows(sampled: float = 0.5) -> pd.DataFrame:
    top = {"top_logprobs": [np.log(PROBABILITY)], "sampled_logprob": [np.log(sampled)]}
    return pd.DataFrame({"entropy": [EXACT], **top})


def test_all_tokens_listed_give_the_exact_entropy():
    assert entropy_from_top(rows(), 4, tail=False) == pytest.approx([EXACT])


def test_the_tail_is_one_more_word():
    # Two listed tokens; the missing quarter counts as one word of probability 1/4.
    assert entropy_from_top(rows(), 2, tail=True) == pytest.approx(
        [0.5 * np.log(2) + 0.5 * np.log(4)]
    )
    assert entropy_from_top(rows(), 2, tail=False) == pytest.approx(
        [0.5 * np.log(2) + 0.25 * np.log(4)]
    )


def test_the_sampled_token_is_added_only_where_it_is_not_listed():
    listed = entropy_from_top(rows(sampled=0.25), 2, tail=False, add_sampled=True)
    assert listed == pytest.approx(entropy_from_top(rows(), 2, tail=False))
    added = entropy_from_top(rows(sampled=0.125), 2, tail=False, add_sampled=True)
    assert added == pytest.approx(entropy_from_top(rows(), 3, tail=False))


def test_the_error_falls_with_k_and_with_the_tail():
    found = top_k_error(rows(), [1, 2, 3, 4])
    assert found["k"].tolist() == [1, 2, 3, 4] * 2
    without, with_tail = found["mean"].to_numpy().reshape(2, 4)
    assert (np.diff(without) < 0).all() and (np.diff(with_tail) <= 1e-12).all()
    assert (with_tail <= without + 1e-12).all()
    assert without[-1] == pytest.approx(0, abs=1e-12)


def test_more_than_is_stored_is_refused():
    with pytest.raises(UserError, match="4 most probable"):
        entropy_from_top(rows(), 5, tail=False)
