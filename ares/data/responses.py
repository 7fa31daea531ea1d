"""Reading a response: is it right, which of its words open a decision, what does it compare.

A teacher's trace comes with its decisions; in a sampled text they have to be found. The rule is the
same: a step `a op b` decides where it is first worked out. Steps of a sentence that checks, and
steps of the boxed answer that the thought has stated before, repeat a decision and open none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ares.data.countdown import Problem, apply
from ares.data.world_settings import Language

#: A step as any model may write it; the small world's own models write it as `STEP` says.
ANY_STEP = re.compile(r"(\d{1,6})\s*([-+x*×−])\s*(\d{1,6})\s*=\s*(\d{1,6})")
SPELLINGS = {"*": "x", "×": "x", "−": "-"}
STEP = re.compile(r"(\d+)\s+([-+x])\s+(\d+)\s+=")
LEFT = re.compile(r"(?<!\S)left((?:\s+\d+)+)")
SENTENCE_END = re.compile(r"(?<!\S)\.(?!\S)|</think>")
#: A backslash takes the sign after it along, so that \{ and \} open and close nothing.
_TOKEN = re.compile(r"\\+boxed\s*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """`correct`, and the reason in words; `answer` is what stood in the last box."""

    correct: bool
    reason: str
    answer: str


def verify(problem: Problem, text: str, values: tuple[int, int]) -> Verdict:
    """Check the last boxed answer of a response against a problem.

    The answer is a list of steps `a op b = c`, separated by commas. Each step takes two numbers
    that are still there, puts back its result, is right, and stays in the range `values`; at the
    end the target alone is left.
    """
    boxed = last_boxed(text)
    if boxed is None:
        return Verdict(False, "no boxed answer", "")
    reason = _fault(problem, boxed.strip(), values)
    return Verdict(not reason, reason or "correct", boxed.strip())


def _fault(problem: Problem, answer: str, values: tuple[int, int]) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if answer in ("", "none"):
        return "no solution given"
    left = list(problem.numbers)
    for part in answer.split(","):
        match = ANY_STEP.fullmatch(part.strip())
        if match is None:
            return "unreadable step"
        a, b, c = int(match[1]), int(match[3]), int(match[4])
        for operand in (a, b):
            if operand not in left:
                return "number not available"
            left.remove(operand)
        if not _is_right(match.groups()):
            return "wrong arithmetic"
        if not values[0] <= c <= values[1]:
            return "value out of range"
        left.append(c)
    if len(left) > 1:
        return "numbers left over"
    return "" if left[0] == problem.target else "wrong result"


def _is_right(step: Sequence[str]) -> bool:
    a, op, b, c = step
    return apply(int(a), SPELLINGS.get(op, op), int(b)) == int(c)


def steps_right(text: str) -> tuple[int, int]:
    """How many of the arithmetic steps stated in `text` are right, and how many stand there.

    >>> steps_right("2 + 3 = 5 . 2 x 3 = 7")
    (1, 2)
    """
    steps = ANY_STEP.findall(text)
    return sum(map(_is_right, steps)), len(steps)


def decision_starts(text: str, language: Language) -> dict[int, str]:
    """Character position -> 'pair' or 'operation', for every decision that `text` opens."""
    checks = set(language.markers["check"])
    found: dict[int, str] = {}
    stated: set[tuple[str, ...]] = set()
    answer = len(text.partition("</think>")[0])
    start = 0
    for end in [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]:
        sentence = text[start:end]
        repeats = bool(checks & set(sentence.split()))
        for match in STEP.finditer(sentence):
            if not repeats and not (start >= answer and match.groups() in stated):
                found[start + match.start(1)] = "pair"
                found[start + match.start(2)] = "operation"
            if start < answer:
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
    checks = set(language.markers["check"])
    found: list[str] = []
    path: list[str] = []
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
        starts: label per character position, from `decision_starts`.

    Returns:
        One label per token, '' for most.
    """
    labels, position = [], 0
    for token in tokens:
        piece = token.strip()
        at = text.find(piece, position) if piece else -1
        position = position if at < 0 else at + len(piece)
        within = range(at, position) if at >= 0 else ()
        labels.append(next((starts[place] for place in within if place in starts), ""))
    return labels


def last_boxed(text: str) -> str | None:
    r"""Content of the last box, as `last_box` finds it; None without one.

    >>> last_boxed(r"\boxed{1} or \boxed{\frac{1}{2}}, so \boxed{3")
    '\\frac{1}{2}'
    """
    last = last_box(text)
    return text[slice(*last)] if last else None


def last_box(text: str) -> tuple[int, int] | None:
    r"""Where the content of the last complete \boxed{...}, braces balanced; None without one.

    A box that is never closed (a response that was cut) does not hide one that stands before it.
    Of nested boxes, the inner one. Time grows linearly with the text.
    """
    start = text.find(r"\boxed")
    if start < 0:
        return None
    opened: list[int] = []  # where the content of a box begins; -1 for other braces
    last: tuple[int, int] | None = None
    for token in _TOKEN.finditer(text, start):
        if token[0] == "}":
            begin = opened.pop() if opened else -1
            if begin >= 0 and (last is None or begin > last[0]):
                last = begin, token.start()
        elif token[0][-1] == "{" and token[0] != r"\{":
            opened.append(token.end() if len(token[0]) > 1 else -1)
    return last
