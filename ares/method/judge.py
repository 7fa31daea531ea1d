"""A lexicon from traces (Fig. 2b): rank tokens by entropy, keep what a judge accepts.

The judge is any callable from a token to a bool. Offline it is a lexicon
(`load_lexicon().__contains__`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ares.errors import UserError
from ares.method.lexicon import Lexicon, normalize_token

Judge = Callable[[str], bool]


@dataclass(frozen=True)
class RankedToken:
    """A normalised token with its mean entropy (nats) over its occurrences and their number."""

    token: str
    entropy: float
    count: int


def rank_tokens(
    tokens: Iterable[str], entropies: Iterable[float], min_count: int = 1
) -> list[RankedToken]:
    """Tokens by falling mean entropy, those with at least `min_count` occurrences; ties by name.

    Spellings that normalise alike count as one token; tokens without a letter are left out.

    Raises:
        UserError: a NaN entropy, or lists of unequal length.

    >>> rank_tokens(["so", " So", "7", "but"], [1.0, 3.0, 9.0, 1.5], min_count=2)
    [RankedToken(token='so', entropy=2.0, count=2)]
    """
    total: dict[str, float] = defaultdict(float)
    number: dict[str, int] = defaultdict(int)
    try:
        for token, entropy in zip(tokens, entropies, strict=True):
            word = normalize_token(token)
            if any(map(str.isalpha, word)):
                total[word] += entropy
                number[word] += 1
    except ValueError:
        raise UserError(
            "tokens and entropies differ in length: give one entropy per token"
        ) from None
    if any(value != value for value in total.values()):
        raise UserError("entropies: NaN; repair the traces first")
    ranked = [
        RankedToken(word, total[word] / number[word], number[word])
        for word in total
        if number[word] >= min_count
    ]
    return sorted(ranked, key=lambda row: (-row.entropy, row.token))


def extract_lexicon(ranked: Iterable[RankedToken], judge: Judge, top: int) -> Lexicon:
    """Ask the judge about the `top` first tokens; those it calls reasoning-relevant, best first.

    Raises:
        UserError: the judge accepts none.
    """
    candidates = list(ranked)[:top]
    kept = tuple(row.token for row in candidates if judge(row.token))
    if not kept:
        raise UserError(
            f"the judge accepted none of {len(candidates)} tokens: raise top or lower min_count"
        )
    return Lexicon({"extracted": kept})
