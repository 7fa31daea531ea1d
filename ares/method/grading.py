"""Grade a boxed answer, as the released reward does where the accuracy it gets is missing or 0.

Deviation: the release compares by computer algebra; here two answers are equal when they are the
    same text (spaces aside) or the same rational number (42, -0.5, 1/2, \\frac{1}{2}). That covers
    the golden vectors. Benchmarks are graded by `ares.answers`, which does use computer algebra.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ares.boxed import last_boxed

_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}")
#: What is read as a number. "1e999999999" is one to `Fraction` too, and would fill the memory.
_NUMBER = re.compile(r"[-+]?(?:\d{1,400}(?:/\d{1,400}|\.\d{0,400}|e-?\d{1,3})?|\.\d{1,400})", re.I)


def follows_format(response: str) -> bool:
    """Whether it reads <think> ... </think> ... \\boxed{...}: reported, never rewarded.

    >>> follows_format(r"<think>x</think> \\boxed{1}"), follows_format(r"\\boxed{1}")
    (True, False)
    """
    # Piece by piece, and no pattern: a pattern takes minutes for a hostile response.
    parts = re.split("([<>/])", response)
    inner = "".join(part.strip() for part in parts[1:-1])
    text = parts[0].rstrip() + inner + parts[-1].lstrip() if len(parts) > 1 else response
    if not text.startswith("<think>"):
        return False
    _, thought_ends, after = text.partition("</think>")
    _, box_opens, inside = after.partition(r"\boxed{")
    return bool(thought_ends and box_opens) and "}" in inside


def is_correct(response: str, truth: str) -> bool:
    """Whether the boxed answer equals the truth, as text or as a rational number.

    >>> is_correct(r"so \\boxed{\\frac{1}{2}}", "0.5"), is_correct("0.5", "0.5")
    (True, False)
    """
    answer = last_boxed(response)
    if answer is None:
        return False
    answer, truth = ("".join(text.split()) for text in (answer, truth))
    value = _rational(answer)
    return answer == truth or (value is not None and value == _rational(truth))


def _rational(text: str) -> Fraction | None:
    text = _FRACTION.sub(r"\1\2/\3", text)
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Fraction(text)
    except ZeroDivisionError:
        return None
