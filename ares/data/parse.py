"""Which words of a response open a decision, and what it compares, read from its text alone.

The teachers know it when they speak; a sampled text has to be read. The rule is the same: a step
`a op b` decides where it is first worked out. Steps of a sentence that checks, and steps of the
boxed answer that the thought has stated before, repeat a decision and open none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ares.data.world_settings import Language

STEP = re.compile(r"(\d+)\s+([-+x])\s+(\d+)\s+=")
LEFT = re.compile(r"(?<!\S)left((?:\s+\d+)+)")
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


def candidates(text: str, count: int, language: Language) -> list[str]:
    """What a thought compared with the target, in order: the steps of each candidate, as in a box.

    Sentences that check are left out: they compare a candidate again.

    Args:
        count: how many numbers the problem has. A step that leaves m of them has count - m - 1
            steps before it, which a later candidate shares until it replaces them.
    """
    checks, found, path = set(language.markers["check"]), [], []
    for sentence in SENTENCE_END.split(text.partition("</think>")[0]):
        steps, left = re.findall(r"\d+\s+[-+x]\s+\d+\s+=\s+\d+", sentence), LEFT.search(sentence)
        words = sentence.split()
        if not steps or checks & set(words):
            continue
        compared = "vs" in words
        remaining = 1 if compared or not left else len(left[1].split())
        path = [*path[: count - remaining - 1], steps[-1]]
        if compared:
            found.append(" , ".join(path))
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
