r"""The final answer of a response, as it stands there.

Where it is looked for: after the last `</think>`. Without one the whole response is the answer, as
of models that do not think aloud. A thought that is opened and never closed was cut: a box in it
is a guess on the way and no answer, so such a response has none. If a closed thought is followed
by no answer, the last box in the thought counts.

What counts, the first of these that is found:

1. the last complete \boxed{...}; of several boxes the last, of nested ones the inner
   (`ares.data.responses`); an empty box is no answer;
2. the last <answer> ... </answer>;
3. after the last "answer:", "the answer is", "option is" and the like, the rest of the line (or the
   next line where nothing follows), up to the end of the sentence;
4. for a choice, a letter that stands alone: on a line of its own, or the only one in parentheses;
5. a response that is nothing but the answer: one short line.

Every search is a scan with bounded look-ahead: the time grows linearly with the response.
"""

from __future__ import annotations

import re
from collections import deque

from ares.data.responses import last_boxed
from ares.evaluation.text import plain
from ares.evaluation.values import read

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
#: A response that is one line of at most this many characters may be an answer as it stands.
SHORT = 80
#: A phrase's answer is looked for in this many characters after it.
_REACH = 400

_TAG_OPEN, _TAG_CLOSE = "<answer>", "</answer>"
_PHRASE = re.compile(r"\b(?:answer|option|choice)\b[ \t*_]{0,4}(?:is|are|:|=)[ \t:]{0,4}", re.I)
_SENTENCE_END = re.compile(
    r"\.(?=\s+[A-Z\"(]|\s*$)|[,;]?\s+(?:because|since|as the|so|which)\b|\s+is (?:correct|right)\b"
)
_LONE = re.compile(r"[(\[]?([A-Za-z])[)\].:]{0,2}")
_LINE_LETTER = re.compile(r"^[ \t*_$(\[]{0,6}([A-Z])(?:[)\].:*_$ \t]{1,8}|$)(.{0,200})$", re.M)
_PARENTHESISED = re.compile(r"\(([A-Z])\)")


def extract(response: str, answer: str) -> tuple[str, str]:
    r"""The final answer of `response` to a question of type `answer`, or "", and a note.

    The note says why there is none, or where it was found if unusual.

    >>> extract(r"<think> \boxed{1}? </think> so \boxed{2}", "number")
    ('2', '')
    >>> extract("The answer is 3.5. Done", "number")
    ('3.5', '')
    >>> extract(r"<think> maybe \boxed{1}", "number")
    ('', 'cut inside the thought')
    """
    before, _, after = response.rpartition(THINK_CLOSE)
    if THINK_OPEN in after:
        return "", "cut inside the thought"
    boxed = last_boxed(after)
    if boxed is not None:
        return boxed.strip(), "" if boxed.strip() else "the box is empty"
    letter = _lone_letter(after) if answer == "choice" else None
    found = _tagged(after) or _after_phrase(after) or letter or _whole(after, answer)
    if found:
        return found.strip(), ""
    if in_thought := (last_boxed(before) or "").strip():
        return in_thought, "boxed in the thought only"
    return "", "no answer found" if response.strip() else "empty response"


def _tagged(text: str) -> str | None:
    end = text.rfind(_TAG_CLOSE)
    start = text.rfind(_TAG_OPEN, 0, end) if end >= 0 else -1
    return text[start + len(_TAG_OPEN) : end].strip() or None if start >= 0 else None


def _after_phrase(text: str) -> str | None:
    """What follows the last phrase that announces an answer."""
    for phrase in reversed(deque(_PHRASE.finditer(text), maxlen=3)):
        lines = text[phrase.end() : phrase.end() + _REACH].lstrip(" \t*_:\n\r").splitlines()
        line = lines[0].strip() if lines else ""
        end = _SENTENCE_END.search(line)
        line = (line[: end.start()] if end else line).strip(" \t*_")
        if line:
            return line
    return None


def _lone_letter(text: str) -> str | None:
    """The letter that labels the last line, or the only one that labels lines or is in parentheses.

    A response that lists the choices and names none has no lone letter.
    """
    short = text.strip().strip("*_$ ")
    if len(short) <= 5:
        alone = _LONE.fullmatch(short)
        return alone[1] if alone else None
    lines = [match for match in _LINE_LETTER.finditer(text) if _is_label(match)]
    if lines and (not text[lines[-1].end() :].strip() or len({line[1] for line in lines}) == 1):
        return f"{lines[-1][1]}. {lines[-1][2]}".rstrip(". *_$")
    letters = {line[1] for line in lines} or set(_PARENTHESISED.findall(text))
    return letters.pop() if len(letters) == 1 else None


def _is_label(match: re.Match[str]) -> bool:
    """Whether the letter labels its line: "B", "B.", "(B) 12", but not "A train leaves"."""
    return not match[2] or match[0][match.end(1) - match.start()] in ").:]*"


def _whole(text: str, answer: str) -> str | None:
    """The response itself where it is short and can be nothing else than an answer."""
    line = text.strip()
    if not line or len(line) > SHORT or "\n" in line:
        return None
    formula = line[0] == line[-1] == "$" and line.count("$") in (2, 4) and len(line) > 2
    alone = answer in ("text", "choice") or formula or read(plain(line)) is not None
    return line if alone else None
