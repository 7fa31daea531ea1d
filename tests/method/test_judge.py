"""Getting a lexicon from traces, with our list as the judge."""

from __future__ import annotations

import pytest

from ares.errors import UserError
from ares.method.judge import extract_lexicon, rank_tokens
from ares.method.lexicon import load_lexicon

TOKENS = [" so", "So", "7", "the", "the", " wait", " wait", "once"]
ENTROPY = [1.0, 2.0, 9.0, 3.0, 3.0, 0.5, 0.7, 8.0]


def test_rank_tokens_merges_spellings_and_drops_the_rare():
    ranked = rank_tokens(TOKENS, ENTROPY, min_count=2)
    assert [(row.token, row.entropy, row.count) for row in ranked] == [
        ("the", 3.0, 2),
        ("so", 1.5, 2),
        ("wait", 0.6, 2),
    ]


def test_ties_are_ranked_by_name():
    assert [row.token for row in rank_tokens(["b", "a"], [1.0, 1.0])] == ["a", "b"]


def test_our_list_is_the_offline_judge():
    ranked = rank_tokens(TOKENS, ENTROPY, min_count=2)
    judge = load_lexicon().__contains__
    assert extract_lexicon(ranked, judge, top=3).categories == {"extracted": ("so", "wait")}
    assert extract_lexicon(ranked, judge, top=2).categories == {"extracted": ("so",)}
    with pytest.raises(UserError, match="accepted none"):
        extract_lexicon(ranked, judge, top=1)


def test_traces_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="length"):
        rank_tokens(["a", "b"], [1.0])
    with pytest.raises(UserError, match="NaN"):
        rank_tokens(["a"], [float("nan")])
