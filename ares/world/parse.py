"""Which words of a response open a decision, read back from its text alone.

The teachers know it when they speak; a sampled text has to be read. The rule is the same: a step
`a op b` decides where it is first worked out. Steps of a sentence that checks, and steps of the
boxed answer that the thought has stated before, repeat a decision and open none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ares.world.settings import Language

STEP = re.compile(r"(\d+)\s+([-+x])\s+(\d+)\s+=")
SENTENCE_END = re.compile(r"(?<!\S)\.(?!\S)|</think>")


def decision_starts(text: str, language: Language) -> dict[int, str]:
    """Character position -> 'pair' or 'operation', for every decision that `text` opens."""
    checks = set(language.markers["check"])
    found: dict[int, str] = {}
    stated: set[tuple[str, ...]] = set()
    thought, _, _ = text.partition("</think>")
    start = 0
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    for end in [*ends, len(text)]:
        sentence = text[start:end]
        repeats = bool(checks & set(sentence.split()))
        for match in STEP.finditer(sentence):
            in_answer = start >= len(thought)
            if not repeats and not (in_answer and match.groups() in stated):
                found[start + match.start(1)] = "pair"
                found[start + match.start(2)] = "operation"
            if not in_answer:
                stated.add(match.groups())
        start = end
    return found


def label_tokens(tokens: Sequence[str], text: str, starts: dict[int, str]) -> list[str]:
    """Carry labels at character positions over to tokens, in the order in which they stand.

    Args:
        tokens: pieces of `text`; white space around a piece is ignored, and a piece that does not
            stand in the text (a special token that decoding drops) gets no label.
        text: the text the tokens were decoded to.
        starts: label per character position, from `decision_starts`.

    Returns:
        One label per token, '' for most.
    """
    labels, position = [], 0
    for token in tokens:
        piece = token.strip()
        at = text.find(piece, position) if piece else -1
        if at < 0:
            labels.append("")
            continue
        position = at + len(piece)
        labels.append(next((starts[i] for i in range(at, position) if i in starts), ""))
    return labels
