r"""The final answer of a response, as it stands there.

Where it is looked for: after the last `</think>`. Without one the whole response is the answer, as
of models that do not think aloud. A thought that is opened and never closed was cut: a box in it
is a guess on the way and no answer, so such a response has none. If a closed thought is followed
by no answer, the last box in the thought counts.

What counts, the first of these that is found:

1. the last complete \boxed{...} (or \fbox), of nested ones the inner (`ares.data.responses`);
   boxes with nothing but commas, "and" or "or" between them are one list; an empty box is none;
2. the last <answer> ... </answer>;
3. after the last "answer:", "the answer is", "option is", "####" and the like, in some languages,
   the rest of the line (or the next line where nothing follows), up to the end of the sentence;
4. for a choice, a letter that stands alone: on a line of its own, the only one in parentheses, or
   the last word;
5. a response that is nothing but the answer: one short line.

Where a choice is asked for and one of these names none, the next counts (`candidates`).

Every search is a scan with bounded look-ahead: the time grows linearly with the response.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from ares.data.responses import last_box, last_boxed
from ares.evaluation.text import plain
from ares.evaluation.values import read

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
#: A response that is one line of at most this many characters may be an answer as it stands.
SHORT = 80
#: A phrase's answer is looked for in this many characters after it.
_REACH = 400

_TAG_OPEN, _TAG_CLOSE = "<answer>", "</answer>"
_PHRASE = re.compile(
    r"\b(?:answer|option|choice)\b[ \t*_]{0,4}(?:is|are|:|=)[ \t:]{0,4}|^####[ \t]*"
    r"|\b(?:antwort|réponse|respuesta|risposta|resposta|ответ)\b[ \t*_]{0,4}[:=][ \t]{0,4}"
    r"|答案?(?:是|为|:|：)[ \t]{0,4}",
    re.I | re.M,
)
_SENTENCE_END = re.compile(
    r"\.(?=\s+[A-Z\"(]|\s*$)|。|[,;]?\s+(?:because|since|as the|so|which)\b"
    r"|\s+is (?:correct|right)\b"
)
#: Ends what is no text: "72, in total"; but "1, 2 and 3" goes on.
_ASIDE = re.compile(r",\s+(?!(?:and|or)\b)[a-z]{2}")
_WHAT_IT_IS = re.compile(r"(?:The|It|This|So|Thus)\b.*\b(?:is|are|equals)\s+(.+)")
_FRAMED = re.compile(r"\\f(?:rame)?box\s*(?:\[[^\]]*\]\s*){0,2}\{")
_JOINED = re.compile(
    r"\}[\s$\\,;.]*(?:(?:\\quad|\\text\s*\{\s*(?:and|or)\s*\}|and|or|,|;)[\s$\\,;]*)+$"
)
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_FINAL_LETTER = re.compile(r"(?:^|[\s(])([A-Z])\)?[.。]?\s*$")
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
    return next(candidates(response, answer))


def candidates(response: str, answer: str) -> Iterator[tuple[str, str]]:
    """What may be the answer, best first, each with a note; at least one."""
    before, _, after = _FRAMED.sub(r"\\boxed{", response).rpartition(THINK_CLOSE)
    if THINK_OPEN in after:
        yield "", "cut inside the thought"
        return
    boxed = _boxed(after)
    if boxed is not None:
        yield boxed, "" if boxed else "the box is empty"
    found = [_tagged(after), _after_phrase(after, answer)]
    if answer == "choice":
        found += [_lone_letter(after), _final_letter(after)]
    found.append(_whole(after, answer))
    yield from ((each.strip(), "") for each in found if each)
    if in_thought := (last_boxed(before) or "").strip():
        yield in_thought, "boxed in the thought only"
    yield "", "no answer found" if response.strip() else "empty response"


def _boxed(text: str) -> str | None:
    """The last box, with those before it that belong to the same list."""
    box = last_box(text)
    parts: list[str] = []
    while box is not None:
        parts.insert(0, text[slice(*box)].strip())
        text = text[: text.rfind(r"\boxed", 0, box[0])]
        joined, earlier = _JOINED.search(text[-_REACH:]), last_box(text)
        at = joined.start() + max(0, len(text) - _REACH) if joined else -1
        box = earlier if earlier is not None and earlier[1] == at else None
    return ", ".join(dict.fromkeys(parts)) if parts else None


def _tagged(text: str) -> str | None:
    end = text.rfind(_TAG_CLOSE)
    start = text.rfind(_TAG_OPEN, 0, end) if end >= 0 else -1
    return text[start + len(_TAG_OPEN) : end].strip() or None if start >= 0 else None


def _after_phrase(text: str, answer: str) -> str | None:
    """What follows the last phrase that announces an answer."""
    for phrase in reversed(deque(_PHRASE.finditer(text), maxlen=3)):
        lines = text[phrase.end() : phrase.end() + _REACH].lstrip(" \t*_:\n\r").splitlines()
        line = lines[0].strip() if lines else ""
        ends = [_SENTENCE_END.search(line), _ASIDE.search(line) if answer != "text" else None]
        line = line[: min((end.start() for end in ends if end), default=None)].strip(" \t*_")
        stated = _WHAT_IT_IS.fullmatch(line) if answer in ("number", "expression") else None
        line = stated[1] if stated else line
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


def _final_letter(text: str) -> str | None:
    """The letter that ends the response, as in "So B."."""
    found = _FINAL_LETTER.search(text.strip(" \t\n*_$")[-SHORT:])
    return found[1] if found else None


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
    short = re.search(r"[\d\\π=+^]", line) is not None and not _PROSE.search(line)
    return line if alone or short else None
