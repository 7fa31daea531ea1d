r"""Choices: an answer is a letter, the text of a choice, or both.

A letter decides, in any case and dress: "B", "(b)", "B.", "\text{B}", "Option B", "B. 12". A text
that belongs to another choice than the letter before it contradicts it, and the answer is wrong.
Without a letter, the text of a choice stands for its letter; numbers compare by value ("12.0" is
the choice "12"). Several letters are wrong unless the gold has several; then the sets must agree.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from ares.evaluation.text import plain, words
from ares.evaluation.values import read, same_value

_OPTION = re.compile(r"(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s*(?:is\s+|:\s*)?", re.I)
_ONE = re.compile(r"[(\[]?\s*([A-Za-z])\s*[)\]]?\s*[.:)]?")
_LABELLED = re.compile(r"(?:[(\[]\s*([A-Za-z])\s*[)\]]\s*[.:]?|([A-Za-z])\s*[.:)])\s*(\S.*)", re.S)
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


def chosen(answer: str, choices: Sequence[str], several: bool) -> frozenset[str]:
    """The letters that an answer chooses; empty if it names none.

    Args:
        several: whether letters written together ("AC") are several letters.

    >>> sorted(chosen("B. 12", ("21", "12"), False)), sorted(chosen("12", ("21", "12"), False))
    (['B'], ['B'])
    >>> sorted(chosen("A. 12", ("21", "12"), False)), sorted(chosen("A or B", (), False))
    ([], ['A', 'B'])
    """
    text = plain(answer)
    dressed = _OPTION.match(text)
    text = text[dressed.end() :] if dressed else text
    return _letters(text, choices, together=several)


def _letters(text: str, choices: Sequence[str], together: bool) -> frozenset[str]:
    allowed = string.ascii_uppercase[: len(choices)] if choices else string.ascii_uppercase
    one = _ONE.fullmatch(text)
    if one is not None:
        found = {one[1].upper()}
        return frozenset(found) if found <= set(allowed) else _of_text(text, choices)
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
        by_text = _of_text(plain(rest), choices)
        if _is_prose(rest):
            return frozenset({letter}) if not by_text or letter in by_text else frozenset()
    spaced = _SPACED.fullmatch(text)
    if spaced is not None and spaced[1] in _of_text(plain(spaced[2]), choices):
        return frozenset({spaced[1]})
    by_text = _of_text(text, choices)
    if by_text:
        return by_text
    if _SEVERAL.fullmatch(text) or (together and text.isalpha() and text.isupper()):
        found = {sign for sign in re.sub(r"\b(?:and|or)\b", " ", text).upper() if sign.isalpha()}
        return frozenset(found) if found <= set(allowed) else frozenset()
    return frozenset()


def _of_text(text: str, choices: Sequence[str]) -> frozenset[str]:
    """Letters of the choices that read like `text`: one, unless choices mean the same."""
    value, said = read(text), words(text)

    def same(choice: str) -> bool:
        number = read(choice)
        if value is not None and number is not None:
            return same_value(number, value)
        return bool(said) and words(choice) == said

    lettered = zip(string.ascii_uppercase, choices, strict=False)
    return frozenset(letter for letter, choice in lettered if same(plain(choice)))


def _is_prose(text: str) -> bool:
    """Whether what follows a label names no second letter, as in "(A) and (B)"."""
    return not re.search(r"(?:^|\b(?:and|or)\b|[,;&])\s*(?:\([A-Z]\)|[A-Z]\b(?![\w'.]))", text)
