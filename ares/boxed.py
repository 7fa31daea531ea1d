r"""The last \boxed{...} of a text: one reading for the method, the small world and the graders."""

from __future__ import annotations

import re

_OPEN = re.compile(r"\\boxed\s*\{")
#: A backslash takes the sign after it along, so that \{ and \} open and close nothing.
_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)


def last_boxed(text: str) -> str | None:
    r"""Content of the last complete \boxed{...}, braces balanced; None without one.

    A box that is never closed (a response that was cut) does not hide one that stands before it.
    Of nested boxes, the inner one. Time grows linearly with the text.

    >>> last_boxed(r"\boxed{1} or \boxed{\frac{1}{2}}, so \boxed{3")
    '\\frac{1}{2}'
    >>> last_boxed("no box") is None
    True
    """
    start = text.rfind(r"\boxed")
    if start < 0:
        return None
    # Nearly always the last box is complete and nothing before it has to be read.
    opening = _OPEN.match(text, start)
    if opening is not None:
        end = _closing(text, opening.end())
        if end is not None:
            return text[opening.end() : end]
    return _last_of_all(text)


def _closing(text: str, begin: int) -> int | None:
    """Position of the brace that closes the group whose content starts at `begin`."""
    depth = 1
    for token in _TOKEN.finditer(text, begin):
        if token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.start()
        elif token[0][-1] == "{" and token[0] != r"\{":
            depth += 1
    return None


def _last_of_all(text: str) -> str | None:
    """The same by one pass over all braces: the complete box that begins last."""
    opened: list[int] = []  # where the content of a box begins; -1 for other braces
    best: tuple[int, int] | None = None
    for token in _TOKEN.finditer(text):
        if token[0] == "}":
            begin = opened.pop() if opened else -1
            if begin >= 0 and (best is None or begin > best[0]):
                best = begin, token.start()
        elif token[0][-1] == "{" and token[0] != r"\{":
            opened.append(token.end() if len(token[0]) > 1 else -1)
    return text[best[0] : best[1]] if best else None
