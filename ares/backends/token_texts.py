"""The text of every token of a response, such that the texts, joined, are the response.

A token by itself has no text: a byte-level token may be half a character, and a word-level one
does not say whether a space goes before it. Its text here is what it adds to the text so far. A
token that leaves a character unfinished adds nothing, the one that completes it adds all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: What a decoder writes for bytes that are no character (yet).
REPLACEMENT = "\ufffd"
#: Bytes of the longest character, so tokens after which one is finished or never will be.
LONGEST = 4


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The texts of the tokens `ids`, special tokens by their names.

    Joined they are the decoded response, special tokens included; bytes that never become a
    character come out as replacement characters, at the token after which that is certain.
    """
    texts: list[str] = []
    start, done = 0, 0  # start .. done: what came before; from done on: not yet a character
    for end in range(1, len(ids) + 1):
        before, now = _decode(tokenizer, ids[start:done]), _decode(tokenizer, ids[start:end])
        unfinished = now.endswith(REPLACEMENT) and end < len(ids) and end - done < LONGEST
        texts.append("" if unfinished else now[len(before) :])
        if not unfinished:
            start, done = done, end
    return texts


class Rivals:
    """The texts of tokens that were not drawn, as they would read in the middle of a response."""

    def __init__(self, tokenizer: Any, anchor: int) -> None:
        self.tokenizer, self.anchor = tokenizer, anchor
        self.before = _decode(tokenizer, [anchor])
        self.first: dict[int, str] = {}
        self.later: dict[int, str] = {}

    def text(self, token: int, position: int) -> str:
        """What the token would add at a position of the response."""
        known = self.later if position else self.first
        if token not in known:
            if position:
                text = _decode(self.tokenizer, [self.anchor, token])[len(self.before) :]
            else:
                text = _decode(self.tokenizer, [token])
            known[token] = text
        return known[token]


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
