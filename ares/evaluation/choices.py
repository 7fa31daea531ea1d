r"""Choices: an answer is a letter, the text of a choice, or both.

A letter decides, in any case and dress: "B", "(b)", "B.", "\text{B}", "Option B", "B. 12". A text
that belongs to another choice than the letter before it contradicts it, and the answer is wrong.
Without a letter, the text of a choice stands for its letter; numbers and formulas compare by value
("12.0" is the choice "12"). Several letters are wrong unless the gold has several; then the sets
must agree. Where no choices are given, labels may be numbers too.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

from ares.evaluation.text import plain, squeezed, words
from ares.evaluation.values import read, same_value

#: (choice, answer) as formulas -> whether they are equal.
Same = Callable[[str, str], bool]

_OPTION = re.compile(r"(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s*(?:is\s+|:\s*)?", re.I)
_ONE = re.compile(r"[(\[]?\s*([A-Za-z])\s*[)\]]?\s*[.:)]?")
_NUMBERED = re.compile(r"[(\[]?\s*(\d{1,2})\s*[)\]]?\s*[.:)]?")
_LABELLED = re.compile(
    r"(?:[(\[]\s*([A-Za-z])\s*[)\]]\s*[.:]?|([A-Za-z])\s*(?:[.:)]|(?=\(..)))\s*(\S.*)", re.S
)
#: Mathematics, and no sentence.
_FORMULA = re.compile(r"(?!.*(?<![\\A-Za-z])[A-Za-z]{4,}).*[\\^=<>|\d].*", re.S)
_SPACED = re.compile(r"([A-Z])\s+(\S.*)", re.S)
_LETTER = r"[(\[]?[A-Za-z][)\]]?"
_SEVERAL = re.compile(rf"{_LETTER}(?:\s*(?:,|;|and|or|&|\s)\s*{_LETTER})+", re.I)


def gold_letters(gold: str, choices: Sequence[str]) -> frozenset[str]:
    """The letters of a gold answer; empty if it is neither letters nor the text of a choice.

    >>> sorted(gold_letters("(b)", ())), sorted(gold_letters("AC", "wxyz"))
    (['B'], ['A', 'C'])
    >>> sorted(gold_letters("12", ("21", "12"))), sorted(gold_letters("E", ("21", "12")))
    (['B'], [])
    """
    return _letters(plain(gold), choices, together=True)


def chosen(
    answer: str, choices: Sequence[str], several: bool, same: Same = str.__eq__
) -> frozenset[str]:
    """The letters that an answer chooses; empty if it names none.

    Args:
        several: whether letters written together ("AC") are several letters.
        same: compares formulas.

    >>> sorted(chosen("B. 12", ("21", "12"), False)), sorted(chosen("12", ("21", "12"), False))
    (['B'], ['B'])
    >>> sorted(chosen("A. 12", ("21", "12"), False)), sorted(chosen("A or B", (), False))
    ([], ['A', 'B'])
    """
    text = plain(answer)
    dressed = _OPTION.match(text)
    text = text[dressed.end() :] if dressed else text
    return _letters(text, choices, together=several, same=same)


def _letters(
    text: str, choices: Sequence[str], together: bool, same: Same = str.__eq__
) -> frozenset[str]:
    numbered = None if choices else _NUMBERED.fullmatch(text)
    if numbered is not None:
        return frozenset({numbered[1]})
    allowed = string.ascii_uppercase[: len(choices)] if choices else string.ascii_uppercase
    one = _ONE.fullmatch(text)
    if one is not None:
        found = {one[1].upper()}
        return frozenset(found) if found <= set(allowed) else _of_text(text, choices, same)
    exact = {
        letter
        for letter, choice in zip(string.ascii_uppercase, choices, strict=False)
        if plain(choice).casefold() == text.casefold()
    }
    if exact:
        return frozenset(exact)
    labelled = _LABELLED.fullmatch(text)
    if labelled is not None and (labelled[1] or labelled[2]).upper() in allowed:
        letter, rest = (labelled[1] or labelled[2]).upper(), labelled[3]
        rest = rest[1:-1] if rest[0] == "(" and rest[-1] == ")" else rest
        by_text = _of_text(plain(rest), choices, same)
        if by_text or _is_prose(rest):
            return frozenset({letter}) if not by_text or letter in by_text else frozenset()
    spaced = _SPACED.fullmatch(text)
    if spaced is not None and spaced[1] in _of_text(plain(spaced[2]), choices, same):
        return frozenset({spaced[1]})
    by_text = _of_text(text, choices, same)
    if by_text:
        return by_text
    if _SEVERAL.fullmatch(text) or (together and text.isalpha() and text.isupper()):
        found = {sign for sign in re.sub(r"\b(?:and|or)\b", " ", text).upper() if sign.isalpha()}
        return frozenset(found) if found <= set(allowed) else frozenset()
    return frozenset()


def _of_text(text: str, choices: Sequence[str], same: Same) -> frozenset[str]:
    """Letters of the choices that read like `text`: one, unless choices mean the same."""
    value, said = read(text), words(text)

    def alike(choice: str) -> bool:
        number, spelled = read(plain(choice)), plain(choice)
        if value is not None and number is not None:
            return same_value(number, value)
        if _FORMULA.fullmatch(spelled) and _FORMULA.fullmatch(text):
            return squeezed(spelled) == squeezed(text) or same(choice, text)
        return bool(said) and words(choice) == said

    lettered = zip(string.ascii_uppercase, choices, strict=False)
    return frozenset(letter for letter, choice in lettered if alike(choice))


def _is_prose(text: str) -> bool:
    """Whether what follows a label names no second letter, as in "(A) and (B)"."""
    article = r"A\s+(?!(?:and|or)\b)[a-z]"
    second = rf"(?:\([A-Z]\)|(?!{article})[A-Z]\b(?![\w'.]))"
    return not re.search(rf"(?:^|\b(?:and|or)\b|[,;&])\s*{second}", text)
