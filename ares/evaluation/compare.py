r"""Whether an answer equals a gold one: lists, intervals, equations and ± taken apart, then values.

What is left after that, two single expressions, is decided without computer algebra where it can
be; otherwise an `Algebra` is asked: math-verify, in a process of its own
(`ares.evaluation.algebra`). The main process has none and gives up. Both sides are read alike, by
these rules:

- {1,2}, "1, 2" and "1 or 2" are sets: any order, repetitions don't count. (1,2) and [0,1) are
  ordered, and their brackets count. A bare list equals (1,2) in the same order only.
- "x = 5" equals 5 and 5 equals "x = 5", and so does "5 = x"; "2x = 10" is not 10, nor is
  "x^2 = 4" 4. Two equations are compared as such. Of a calculation, its result counts.
- A unit behind an expression that one side leaves out does not count; two different units do.
- "x = 1, y = 2" equals "1, 2" in this order only; with their names they may stand in any.
- a \pm b is the set of both. "x < 2 or x > 3" and a set builder are unions of intervals.
- Numbers with a base have their value: 11_2 is 3_{10}; one without has the digits of the other.
- Words of three letters and more are words, not products: "abc" is not "cba".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from ares.evaluation.grades import RIGHT, UNGRADABLE, WRONG
from ares.evaluation.text import plain, squeezed, words
from ares.evaluation.values import read, same_units, same_value, without_unit

#: (gold, answer) as plain texts -> whether they are equal.
Algebra = Callable[[str, str], bool]

#: No list has more parts than this, and no answer more characters.
MOST_PARTS = 40
LONGEST = 1_000
_DEEPEST = 4


class NeedsAlgebra(Exception):
    """Only computer algebra can decide."""


class Unreadable(Exception):
    """The gold answer or the answer is no number or expression; its arguments: status and note."""


UNREADABLE_GOLD = UNGRADABLE, "the gold answer can't be read"
UNREADABLE_ANSWER = WRONG, "the answer can't be read"


def decide(
    gold: str, answer: str, letters: bool, algebra: Algebra | None = None
) -> tuple[str, str]:
    r"""Status (right, wrong or ungradable) and a note.

    Args:
        letters: whether letters after a number are a unit rather than variables (see
            `ares.evaluation.values.unit_of`).
        algebra: decides what these rules can't.

    Raises:
        NeedsAlgebra: these rules can't decide, and there is no `algebra`.

    >>> decide(r"\frac12", "0.5", True)[0], decide("12", "21", True)[0]
    ('right', 'wrong')
    >>> decide("[0,1)", "(0,1)", False)[0], decide("1, 2", "x=2 or x=1", False)[0]
    ('wrong', 'right')
    """
    (gold, unit), (answer, other) = (_without_unit(text, letters) for text in (gold, answer))
    if not same_units(unit, other):
        return WRONG, ""
    # No variable can stand beside a bare number: letters after the answer's are a unit.
    letters = letters or not re.search("[A-Za-z]", gold)
    try:
        return (RIGHT if _equal(gold, answer, letters, algebra or _none, 0) else WRONG), ""
    except Unreadable as error:
        status, note = error.args
        return status, note
    except MemoryError:
        return UNGRADABLE, "out of memory"
    except RecursionError:
        return UNGRADABLE, "nested too deeply"


def within(gold: str, answer: str, tolerance: float) -> bool:
    """Whether an answer has as many numbers as the gold one, each within a tolerance of it.

    >>> within("1.5, 2 m", "1.45, 2.04", 0.05), within("1.5", "1.56", 0.05)
    (True, False)
    """
    lists = [split(_one_spelling(text)).parts for text in (gold, answer)]
    ours, theirs = ([read(part) for part in parts] for parts in lists)
    if len(ours) != len(theirs):
        return False
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    return len(pairs) == len(ours) and all(
        same_units(a.unit, b.unit) and abs(a.value - b.value) <= Fraction(str(tolerance))
        for a, b in pairs
    )


def _none(gold: str, answer: str) -> bool:
    raise NeedsAlgebra


_DRESSED = re.compile(r"\\(?:boldsymbol|mathbf|bm|pmb|textbf|underline)\s*\{(.*)\}", re.DOTALL)


def _without_unit(text: str, letters: bool) -> tuple[str, str]:
    """In one spelling, and the unit behind it where it is no number that is read with its unit."""
    dressed = _DRESSED.fullmatch(text.strip(" $."))
    text = dressed[1] if dressed else text
    spelled = _one_spelling(text)
    value = read(spelled, letters)
    if value is not None:
        return spelled, value.unit
    rest, unit = without_unit(text)
    return (_one_spelling(rest) if unit else spelled), unit


def _one_spelling(text: str) -> str:
    """Plain text, with infinity as a sign and no doubled brackets, which slow a parser down."""
    text = _INFINITY.sub(r"\\infty", plain(text[: LONGEST + 1]))
    text = _intervals(_ratio(text))
    for _ in range(_DEEPEST_BRACKETS):
        text, braces = _DOUBLE_BRACES.subn(r"{\1}", text)
        text, parentheses = _DOUBLE_PARENTHESES.subn(r"(\1)", text)
        if not braces and not parentheses:
            break
    return text


_BUILDER = re.compile(r"\\\{\s*([a-z])\s*(?:\\in\s*[^|:]*)?(?:\\mid|\||:)\s*(.+)\\\}")
_RELATION = re.compile(r"\s*(<|>|\\(?:[lg]eq?|[lg]t)(?![A-Za-z])(?:slant)?)\s*")
_OR = re.compile(r"\s+or\s+|\s*\\vee\s*|\s*\\cup\s*")


def _intervals(text: str) -> str:
    r"""Relations that are joined by "or", or stand in a set builder, as intervals.

    >>> _intervals(r"x<2 or x \ge 3"), _intervals(r"\{x \mid 0 < x \le 1\}")
    ('(-\\infty,2)\\cup[3,\\infty)', '(0,1]')
    """
    built = _BUILDER.fullmatch(text)
    parts = _OR.split(built[2].strip() if built else text)
    if len(parts) < 2 and not built:
        return text
    found = [_interval(part) for part in parts]
    return r"\cup".join(found) if all(found) else text


def _interval(relation: str) -> str:
    """One relation, a < x, x < b or a < x < b, as an interval; "" for others."""
    sides = _RELATION.split(relation.strip())
    bounds = {"low": (r"-\infty", False), "high": (r"\infty", False)}
    for left, sign, right in zip(sides[::2], sides[1::2], sides[2::2], strict=False):
        named = [bool(re.fullmatch("[a-z]", side)) for side in (left, right)]
        if sum(named) != 1:
            return ""
        less = sign[0] == "<" or sign.startswith(r"\l")
        bounds["high" if less == named[0] else "low"] = right if named[0] else left, "e" in sign
    (low, low_in), (high, high_in) = bounds["low"], bounds["high"]
    found = f"{'(['[low_in]}{low},{high}{')]'[high_in]}"
    return found if len(sides) in (3, 5) else ""


def _equal(gold: str, answer: str, letters: bool, algebra: Algebra, depth: int) -> bool:
    if squeezed(gold) == squeezed(answer) and gold:
        return True
    ours, theirs = read(gold, letters), read(answer, letters)
    if ours is not None and theirs is not None:
        return same_value(ours, theirs)
    parts = Parts("", (gold,)) if ours is not None else split(gold, depth)
    others = Parts("", (answer,)) if theirs is not None else split(answer, depth)
    if len(parts.parts) > 1 and len(others.parts) > 1:
        return _lists(parts, others, letters, algebra, depth + 1)
    if len(parts.parts) > 1 or len(others.parts) > 1:
        number = ours is not None or theirs is not None
        return False if number else algebra(gold, answer)
    if parts.brackets or others.brackets:
        return _equal(parts.parts[0], others.parts[0], letters, algebra, depth + 1)
    return _single(gold, answer, letters, algebra, depth)


@dataclass(frozen=True)
class Parts:
    """brackets: the pair around all of it, "{}" for a set, "" for none."""

    brackets: str
    parts: tuple[str, ...]


_SET = re.compile(r"\\\{(.*)\\\}", re.DOTALL)
_CLOSES = {"(": ")]", "[": ")]", "{": "}"}
_BETWEEN = re.compile(r",?\s+(?:and|or)\s+|\s*[,;]\s*")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![A-Za-z])")


def split(text: str, depth: int = 0) -> Parts:
    r"""Take a list, a tuple, a set or an interval apart; anything else is one part.

    >>> split(r"\{1, (2,3)\}"), split("(0, 1]")
    (Parts(brackets='{}', parts=('1', '(2,3)')), Parts(brackets='(]', parts=('0', '1')))
    >>> split("(x+1)(x-1)").parts
    ('(x+1)(x-1)',)
    >>> split(r"2 \pm \sqrt{3}").parts
    ('2 + \\sqrt{3}', '2 - \\sqrt{3}')
    """
    whole = Parts("", (text,))
    if depth > _DEEPEST or r"\begin" in text:
        return whole
    brackets, inner = "", text
    braced = _SET.fullmatch(text)
    if braced is not None and _level(braced[1]) is not None:
        brackets, inner = "{}", braced[1]
    elif text[:1] in _CLOSES and text[-1:] in _CLOSES[text[:1]] and _level(text[1:-1]) is not None:
        brackets, inner = text[0] + text[-1], text[1:-1]
    cuts = _level(inner)
    if cuts is None or len(cuts) >= MOST_PARTS:
        return whole
    ends = [*(begin for begin, _ in cuts), len(inner)]
    starts = [0, *(end for _, end in cuts)]
    parts = [inner[a:b].strip() for a, b in zip(starts, ends, strict=True)]
    if not all(parts):
        return whole
    signed = [value for part in parts for value in _both_signs(part)]
    return Parts(brackets, tuple(signed))


def _level(text: str) -> list[tuple[int, int]] | None:
    """Separators outside all brackets; None if a bracket closes that `text` does not open.

    Half-open intervals close with another bracket than they open with.
    """
    cuts, depth, position = [], 0, 0
    while position < len(text):
        sign = text[position]
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return None
        between = _BETWEEN.match(text, position) if depth == 0 and sign in " ,;" else None
        if between is not None:
            cuts.append(between.span())
            position = between.end()
        else:
            position += 1
    return cuts if depth == 0 else None


def _both_signs(part: str) -> tuple[str, ...]:
    r"""a \pm b as (a + b, a - b), \mp the other way round."""
    if not _PLUS_MINUS.search(part):
        return (part,)
    plus = _PLUS_MINUS.sub(lambda sign: "+" if sign[0] == r"\pm" else "-", part)
    minus = _PLUS_MINUS.sub(lambda sign: "-" if sign[0] == r"\pm" else "+", part)
    return (plus.strip().removeprefix("+").strip(), minus)


def _lists(gold: Parts, answer: Parts, letters: bool, algebra: Algebra, depth: int) -> bool:
    def same(one: str, other: str) -> bool:
        return _equal(one, other, letters, algebra, depth)

    named = {_named(gold), _named(answer)} == {"all", "none"}  # x = 1, y = 2 and 1, 2
    if named or _in_order(gold.brackets, answer.brackets):
        return len(gold.parts) == len(answer.parts) and all(map(same, gold.parts, answer.parts))
    if {gold.brackets, answer.brackets} <= {"", "{}"}:
        return all(any(same(one, other) for other in answer.parts) for one in gold.parts) and all(
            any(same(one, other) for one in gold.parts) for other in answer.parts
        )
    return False


def _named(list_: Parts) -> str:
    """Whether "all" parts of a list have a name of their own, "none" has one, or "some"."""
    names = [name for name, _ in map(equation, list_.parts) if re.search("[A-Za-z]", name)]
    if len(set(names)) == len(list_.parts):
        return "all"
    return "some" if names else "none"


def _in_order(gold: str, answer: str) -> bool:
    """Whether two kinds of brackets are compared part by part."""
    if gold == answer:
        return gold not in ("", "{}")
    return {gold, answer} in ({"", "()"}, {"", "[]"}) and gold != "[]"


_NAME = re.compile(r"[^\d\s=<>][^=<>]*")
#: What makes a product or a power of a name; f^{-1}(x) is a name, and so is AB.
_TERM = re.compile(
    r"\^(?!\{?-1\}?\s*\()|!|\\(?:frac|sqrt|cdot|times|binom|sum|int)(?![A-Za-z])"
    r"|^[a-z]\s*[a-z]$|^[abcmnpqxyz]{3}$"
)
_OPERATOR = re.compile(r"\\(?:cdot|times|div|frac|sqrt|binom|pi)(?![A-Za-z])")
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")
_TO = re.compile(r"(\d+(?:\.\d+)?)\s+to\s+(?=\d)")
_INNER = re.compile(r"\([^()]*\)|\{[^{}]*\}")
_TWO_NUMBERS = re.compile(r"(?:^|[^_^\d])\d+\s+\d")
_DEEPEST_BRACKETS = 30
_INFINITY = re.compile(r"(?<![\\A-Za-z])(?:oo|inf|infinity)(?![A-Za-z])", re.I)
_DOUBLE_BRACES = re.compile(r"(?<!\\)\{\s*\{([^{}]*)\}\s*\}")
_DOUBLE_PARENTHESES = re.compile(r"\(\s*\(([^()]*)\)\s*\)")
_BASED = re.compile(r"([0-9A-Z]{1,200})\s*_\s*(?:\{\s*(\d{1,2})\s*\}|(\d{1,2}))")
_EQUALS = re.compile(r"(?<![<>!:])=")
_WORDY = re.compile(r"[A-Za-z]{3,}(?:[\s'-]+[A-Za-z]+)*")


def equation(text: str) -> tuple[str, str]:
    r"""The name and the value of "name = value"; also of a calculation. ("", text) for others.

    >>> equation("x = 3 + 2 = 5"), equation("f(x+1) = 5"), equation("3 + 2 = 5")
    (('x', '5'), ('f(x+1)', '5'), ('3 + 2', '5'))
    >>> equation("2x = 10"), equation("x + y = 2")
    (('', '2x = 10'), ('', 'x + y = 2'))
    """
    left, sign, right = (side.strip() for side in text.rpartition("="))
    if not (sign and left and right) or _level(right) is None:
        return "", text
    if ":" in left and _RATIO.fullmatch(right):
        return left, right
    if re.search(r"[<>:]|!=|\\(?:[lg]eq?|ne)(?![A-Za-z])", text):
        return "", text
    name = left.partition("=")[0].strip()
    if not _has_letters(name):
        if not _has_letters(right):
            return name, right
        return (right, left) if _is_name(right) else ("", text)
    return (name, right) if _is_name(name) else ("", text)


def _is_name(text: str) -> bool:
    bare = _INNER.sub("", _INNER.sub("", text)).strip()
    return bool(_NAME.fullmatch(text)) and not re.search(r"[-+*/]", bare) and not _TERM.search(text)


def _has_letters(text: str) -> bool:
    return re.search("[A-Za-z]", _OPERATOR.sub("", text)) is not None


def _ratio(text: str) -> str:
    """2 to 3 as 2:3."""
    ratio = _TO.sub(r"\1:", text)
    return ratio if _RATIO.fullmatch(ratio) else text


def _single(gold: str, answer: str, letters: bool, algebra: Algebra, depth: int) -> bool:
    """Compare two expressions that are no lists."""
    (name, value), (other, given) = equation(gold), equation(answer)
    both = bool(name) and squeezed(name) == squeezed(other)
    if depth <= _DEEPEST and (both or (name and "=" not in answer) or (other and "=" not in gold)):
        return _equal(value, given, letters, algebra, depth + 1)
    if _WORDY.fullmatch(gold) or _WORDY.fullmatch(answer):
        return words(gold) == words(answer)
    if _is_equation(gold) != _is_equation(answer):
        return False  # an equation that names no value
    based = [_in_base(text) for text in (gold, answer)]
    if None not in based:
        return based[0] == based[1]
    # Two numbers in a row are no number; algebra would add or multiply them.
    if _TWO_NUMBERS.search(gold) or _too_deep(gold):
        raise Unreadable(*UNREADABLE_GOLD)
    if _TWO_NUMBERS.search(answer) or _too_deep(answer):
        raise Unreadable(*UNREADABLE_ANSWER)
    return algebra(gold, answer)


def _in_base(text: str) -> int | None:
    """The value of digits with a base, such as 101_2; algebra would leave the base out."""
    found = _BASED.fullmatch(text)
    base = int(found[2] or found[3]) if found else 0
    if found is None or not 2 <= base <= 36 or int(max(found[1]), 36) >= base:
        return None
    return int(found[1], base)


def _is_equation(text: str) -> bool:
    return _EQUALS.search(_INNER.sub("", text)) is not None


def _too_deep(text: str) -> bool:
    """Whether brackets nest so deeply that a parser takes seconds."""
    steps = ((sign in "([{") - (sign in ")]}") for sign in text)
    return max(accumulate(steps), default=0) > _DEEPEST_BRACKETS
