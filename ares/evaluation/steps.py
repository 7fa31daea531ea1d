"""Named steps between a data set's columns and an item: the whole list, and none of it in YAML.

A text step maps a value to a text (of a question, an answer, a trace); a choice step maps the
values of the choice columns to the texts of the choices, and may name the right one. Of a value
that a step can't work on it raises ValueError; the loader adds which item it is.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from string import ascii_uppercase
from typing import Any

import numpy as np

from ares.data.responses import last_boxed
from ares.settings import shortened

#: Longest text that is read as a Python literal, in characters.
LITERAL_LIMIT = 100_000

#: The texts of the choices, and the letter of the right one where the step knows it, else "".
Choices = tuple[list[str], str]


def after_hashes(value: Any, choices: Sequence[str]) -> str:
    """What stands after the last `####`, as in GSM8K.

    >>> after_hashes("3 + 4 = 7 #### 7", ())
    '7'
    """
    _, mark, answer = str(value).rpartition("####")
    if not mark:
        raise ValueError(f"has no '####' in {_short(value)}")
    return answer.strip()


def unboxed(value: Any, choices: Sequence[str], needed: bool = True) -> str:
    r"""Content of the last \boxed{...}; unless that is needed, the text itself where it has none.

    >>> unboxed(r"\boxed{\frac{1}{2}}", ())
    '\\frac{1}{2}'
    """
    if not needed and r"\boxed{" not in str(value):
        return str(value)
    content = last_boxed(str(value))
    if content is None:
        raise ValueError(f"has no \\boxed{{...}} in {_short(value)}")
    return content.strip()


def joined(value: Any, choices: Sequence[str]) -> str:
    """The members of a list, commas between, as a multiple answer is written.

    >>> joined(["$2$", "$-1$"], ()), joined(["$x$ or $y$"], ())
    ('2, -1', '$x$ or $y$')
    """
    members = _list(value)
    if not members:
        raise ValueError(f"is no list of answers: {_short(value)}")
    return ", ".join(re.sub(r"^\$([^$]*)\$$", r"\1", str(member).strip()) for member in members)


def letter_of_index(value: Any, choices: Sequence[str]) -> str:
    """The letter of a choice given by its place, counted from 0.

    >>> letter_of_index(2, ("x", "y", "z"))
    'C'
    """
    if str(value) not in map(str, range(len(choices))):
        raise ValueError(f"names choice {_short(value)} of {len(choices)}")
    return ascii_uppercase[int(value)]


def letter_of_text(value: Any, choices: Sequence[str]) -> str:
    """The letter of a choice given by its text; rows without choices keep their answer.

    >>> letter_of_text("9", ("8", "9")), letter_of_text("1.2", ())
    ('B', '1.2')
    """
    if not choices:
        return str(value)
    if list(choices).count(str(value)) != 1:
        raise ValueError(f"{_short(value)} is not one of the choices {list(choices)}")
    return ascii_uppercase[list(choices).index(str(value))]


def turn_of(value: Any, choices: Sequence[str], last: bool) -> str:
    """A turn in a list of turns, in either usual form: the last that is not the user's, or the
    first of the user.

    >>> turn_of([{"from": "human", "value": "?"}, {"from": "gpt", "value": "!"}], (), last=True)
    '!'
    """
    users = ("human", "user")
    found = [
        str(turn.get("value", turn.get("content", "")))
        for turn in _list(value)
        if isinstance(turn, Mapping)
        and turn.get("from", turn.get("role")) != "system"
        and (turn.get("from", turn.get("role")) in users) != last
    ]
    if not found:
        raise ValueError(f"has no such turn: {_short(value)}")
    return found[-1 if last else 0]


def accepted(value: Any) -> tuple[str, ...]:
    """All accepted answers of a list written as text, as `either_of_list` takes the first.

    >>> accepted("['1.06', '1.1']"), accepted("B")
    (('1.06', '1.1'), ('B',))
    """
    if re.fullmatch(r"\[['\"].*['\"]\]", str(value).strip(), re.DOTALL):
        return tuple(map(str, _list(value)))
    return (str(value),)


def first(value: Any, choices: Sequence[str]) -> str:
    """The first member of a list."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"is no list: {_short(value)}")
    return str(value[0])


def either_of_list(value: Any, choices: Sequence[str]) -> str:
    """The first of several accepted answers, where the answer is a list written as text.

    >>> either_of_list("['1.06', '1.1']", ()), either_of_list("B", ()), either_of_list("[0, 1)", ())
    ('1.06', 'B', '[0, 1)')
    """
    return accepted(value)[0]


#: From a value to a text; the choices are those of the row, () where they are not known yet.
TEXT_STEPS: dict[str, Callable[[Any, Sequence[str]], str]] = {
    "after ####": after_hashes,
    "boxed": unboxed,
    "boxed if any": partial(unboxed, needed=False),
    "joined list": joined,
    "first of list": first,
    "either of list": either_of_list,
    "letter of index": letter_of_index,
    "letter of text": letter_of_text,
    "answer of conversation": partial(turn_of, last=True),
    "question of conversation": partial(turn_of, last=False),
}


def as_they_are(values: Sequence[Any], seed: int) -> Choices:
    """One column with a list, or one column per choice; missing ones at the end are left out.

    >>> as_they_are([["x", "y"]], 0), as_they_are(["x", "y", None], 0), as_they_are([None], 0)
    ((['x', 'y'], ''), (['x', 'y'], ''), ([], ''))
    """
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    elif len(values) == 1 and isinstance(values[0], str):
        raise ValueError(f"choices are no list: {_short(values[0])}")
    texts = [None if value in (None, "") else str(value) for value in values]
    while texts and texts[-1] is None:
        texts.pop()
    if None in texts:
        raise ValueError(f"choice {ascii_uppercase[texts.index(None)]} is empty")
    return [text for text in texts if text is not None], ""


def python_list(values: Sequence[Any], seed: int) -> Choices:
    """A list written as text, as in MMMU.

    >>> python_list(["['$6', '$7']"], 0)
    (['$6', '$7'], '')
    """
    return [str(member) for member in _list(values[0])], ""


#: Full-width punctuation of labels.
_WIDE = str.maketrans("．：（）；，", ".:();,")
#: A label stands at the beginning, after white space or after a separator.
_LABEL = re.compile(r"(?:^|(?<=[\s;,])) *(?:\(([A-Z])\)|([A-Z])[.:)])")


def lettered(values: Sequence[Any], seed: int) -> Choices:
    """Choices that stand in a text as A. ... B. ..., (A) ... (B) ... or A: ... B: ...

    >>> lettered(["A. 30; B. 45; C. No correct answer"], 0)
    (['30', '45', 'No correct answer'], '')
    >>> lettered(["Find x. A triangle has 3 sides."], 0)
    ([], '')
    """
    text = str(values[0] or "").translate(_WIDE)
    markers: list[re.Match[str]] = []
    for found in _LABEL.finditer(text):
        # The first is A, and the next ones follow; a letter may be left out.
        letter, last = found[1] or found[2], markers[-1] if markers else None
        if (last is None and letter == "A") or (last and letter > (last[1] or last[2])):
            markers.append(found)
    stops = [*(marker.start() for marker in markers[1:]), len(text)]
    texts = {
        marker[1] or marker[2]: text[marker.end() : stop].strip().rstrip(";,").strip()
        for marker, stop in zip(markers, stops, strict=False)
    }
    if len(texts) < 2 or "B" not in texts or not all(texts.values()):
        return [], ""
    return [texts.get(letter, "") for letter in ascii_uppercase if letter <= max(texts)], ""


def gold_first_shuffled(values: Sequence[Any], seed: int) -> Choices:
    """The right choice comes first in the columns; shuffled, the same way for every run.

    >>> texts, letter = gold_first_shuffled(["right", "w1", "w2", "w3"], seed=4)
    >>> texts["ABCD".index(letter)]
    'right'
    """
    texts, _ = as_they_are(values, seed)
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    return [texts[place].strip() for place in order], ascii_uppercase[order.index(0)]


CHOICE_STEPS: dict[str, Callable[[Sequence[Any], int], Choices]] = {
    "as they are": as_they_are,
    "python list": python_list,
    "lettered": lettered,
    "gold first, shuffled": gold_first_shuffled,
}


def literal(text: Any) -> Any:
    """Read JSON or a Python literal: data only, and not of any length.

    Raises:
        ValueError: neither, or too long.

    >>> literal("['a', \\"b's\\"]"), literal('["a", null]')
    (['a', "b's"], ['a', None])
    """
    text = str(text)
    if len(text) > LITERAL_LIMIT:
        raise ValueError(f"is longer than {LITERAL_LIMIT} characters")
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return read(text)
    raise ValueError(f"is no list: {_short(text)}")


def _list(value: Any) -> list[Any]:
    """A list, or one that is written as text."""
    found = value if isinstance(value, list) else literal(value)
    if not isinstance(found, list):
        raise ValueError(f"is no list: {_short(value)}")
    return found


def _short(value: Any) -> str:
    return shortened(repr(value), 80)
