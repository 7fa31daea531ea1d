r"""A number as it stands in an answer: value, unit, percent; read without computer algebra.

Rules, for both sides of a comparison:

- 1,000 and 1 000 are a thousand; 3,5 is no decimal.
- A value written with a decimal point equals another that rounds to it, if they agree to six
  significant digits: 0.333333 is 1/3, 0.33 is not. Without a decimal point, equality is exact.
- A gold answer with four decimals or more is taken for rounded: what rounds to it is right, and so
  are four significant digits or more of it. Twelve digits are enough where it has noise behind.
- 50% equals 50 and 0.5, as math-verify has it; 50 and 0.5 differ.
- A unit that one side leaves out does not count; two different units do, and nothing is converted:
  12 cm is neither 12 m nor 0.12 m. Other words after a number ("12 apples") count as a label: two
  labels do not contradict each other, a label and a unit do.
- "5 thousand" and "5 million" are read as values; a currency sign before the number is dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

#: Spellings of each unit; the first is its name. Plurals with s are added for words.
_SPELLINGS = """
m meter metre|cm centimeter centimetre|mm millimeter millimetre|km kilometer kilometre
dm decimeter decimetre|nm nanometer nanometre|um μm micrometer micrometre micron
inch inches in|ft foot feet|yd yard|mi mile|ha hectare|acre
g gram gramme gm|kg kilogram kilo|mg milligram|t ton tonne|lb lbs pound|oz ounce
s second sec|ms millisecond|min minute|h hour hr|day|week|month|yr year
l L liter litre|ml mL milliliter millilitre|gal gallon
degree deg|rad radian|K kelvin|C celsius|F fahrenheit
N newton|J joule|kJ kilojoule|W watt|kW kilowatt|Pa pascal|kPa kilopascal|Hz hertz|V volt
A amp ampere|ohm Ω|eV|mol mole|cal calorie|kcal|mph|kmh|dollar USD|cent|euro EUR|yuan|rupee
"""
_NAME: dict[str, str] = {}
for _group in re.split(r"[|\n]", _SPELLINGS.strip()):
    _name, *_others = _group.split()
    for _spelling in (_name, *_others):
        _NAME[_spelling] = _name
        if len(_spelling) > 2:
            _NAME[_spelling + "s"] = _name
            _NAME[_spelling.capitalize()] = _NAME[_spelling.capitalize() + "s"] = _name

#: Words that go on with the mathematics rather than name what is counted.
_MATHEMATICS = """
or and to plus minus times over by sin cos tan cot sec csc log ln exp sqrt pi max min gcd lcm mod
if for when where is are not no none half more less than infinity inf thousand million billion
trillion hundred dozen
"""
_NO_LABEL = frozenset(_MATHEMATICS.split())
_PIECE = re.compile(
    r"\s*(?P<op>/|\\cdot|\*|\bper\b)?\s*(?P<square>sq(?:uare)?\.?\s+|cu(?:bic)?\.?\s+)?"
    r"(?P<circle>\^\s*\{?\s*\\circ\s*\}?\s*)?(?P<word>[A-Za-zμΩ]+)?\.?"
    r"(?:\s*\^\s*\{?\s*(?P<power>-?[1-9])\s*\}?)?"
)

#: The unit of words that count things, such as "apples".
LABEL = "label"

#: A gold answer with so many decimals is rounded; with so many more, it is a float of a program.
_ROUNDED, _NOISE = Fraction(1, 10**4), Fraction(1, 10**12)
#: Beyond this many characters nothing is a plain number.
LONGEST = 200

_DECIMAL = (
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?: \d{3})+(?!\d)(?:\.\d+)?"
    r"|\d+(?:\.\d+)?|\.\d+)"
)
_ABOUT = r"(?:(?:approximately|about|roughly|exactly|\\approx|=)\s*)?"
_LEAD = re.compile(_ABOUT + r"([-+]?)\s*([€£¥₹]?)\s*")
_MIXED = re.compile(r"(\d+)\s*(?:\s(\d+)\s*/\s*(\d+)|\\frac\{(\d+)\}\{(\d+)\})")
_RATIO = re.compile(
    rf"(?:\\frac\{{\s*([-+]?{_DECIMAL})\s*\}}\{{\s*([-+]?{_DECIMAL})\s*\}}|({_DECIMAL})\s*/\s*({_DECIMAL}))"
)
_PLAIN = re.compile(_DECIMAL)
_POWER = re.compile(
    r"\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*(?:\{\s*([-+]?\d{1,3})\s*\}|([-+]?\d{1,3})(?!\d))"
    r"|[eE]([-+]?\d{1,3})(?![\d.])"
)
_PERCENT = re.compile(r"\s*(?:%|per\s?cent(?:age)?\b|pct\b)")
_SCALE = re.compile(r"\s*(hundred|thousand|million|billion|trillion)\b", re.I)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}


@dataclass(frozen=True)
class Value:
    """value: without the percent; place: of the last decimal written, None if it is exact.

    unit: "" without one, "label" for words that name no unit.
    """

    value: Fraction
    place: Fraction | None = None
    unit: str = ""
    percent: bool = False


@lru_cache(10_000)
def read(text: str, letters: bool = True) -> Value | None:
    r"""The value of `text`, if it is a number and nothing else.

    Args:
        text: in one spelling (`ares.evaluation.text.plain`).
        letters: see `unit_of`.

    >>> read("1,234.50 cm")
    Value(value=Fraction(2469, 2), place=Fraction(1, 100), unit='cm', percent=False)
    >>> read(r"-1\frac{1}{2}").value, read("5%").percent, read("1 2"), read("x")
    (Fraction(-3, 2), True, None, None)
    """
    if len(text) > LONGEST:
        return None
    lead = _LEAD.match(text)
    assert lead is not None  # it matches the empty text
    found = _unsigned(text, lead.end())
    if found is None:
        return None
    value, end = found
    scale = _SCALE.match(text, end)
    if scale is not None:
        end = scale.end()
        value = _times(value, Fraction(10 ** _SCALES[scale[1].lower()]))
    if lead[1] == "-":
        value = replace(value, value=-value.value)
    percent = _PERCENT.match(text, end)
    if percent is not None:
        value, end = replace(value, percent=True), percent.end()
    if text[end : end + 1].isdigit():
        return None
    unit = unit_of(text[end:], letters)
    return None if unit is None else replace(value, unit=unit)


def same_value(gold: Value, answer: Value) -> bool:
    """Whether an answer counts as equal to a gold value, by the rules above."""
    if not same_units(gold.unit, answer.unit):
        return False
    if gold.percent == answer.percent:
        return _equal(gold, answer)
    hundredth = Fraction(1, 100)
    golds = gold, _times(gold, hundredth if gold.percent else 1 / hundredth)
    return any(_equal(value, answer) for value in golds)


def rounds_to(exact: float, written: Value, is_gold: bool) -> bool:
    """Whether a real number, known to about 15 digits, equals what is written."""
    number = Value(Fraction(exact), Fraction(0))
    values = [written, _times(written, Fraction(1, 100))] if written.percent else [written]
    return any(_equal(*((v, number) if is_gold else (number, v))) for v in values)


def _equal(gold: Value, answer: Value) -> bool:
    if gold.place is None and answer.place is None:
        return gold.value == answer.value
    gap, size = abs(gold.value - answer.value), max(abs(gold.value), abs(answer.value))
    ours, theirs = gold.place or Fraction(0), answer.place or Fraction(0)
    if 0 < ours <= _NOISE and gap <= _NOISE * size:
        return True
    if gap > max(ours, theirs) / 2:
        return False
    rounded = 0 < ours <= _ROUNDED and (theirs <= ours or size >= 1000 * theirs)
    return rounded or gap * 10**6 <= size


def same_units(one: str, other: str) -> bool:
    """Whether two units contradict each other; one that is left out never does."""
    units = {one, other} - {""}
    if units & {"degree"} and units <= {"degree", "degree C", "degree F", "C", "F"}:
        return True  # "30°" for 30 °C
    return len({unit.removeprefix("degree ") for unit in units}) <= 1


def _unsigned(text: str, begin: int) -> tuple[Value, int] | None:
    mixed = _MIXED.match(text, begin)
    if mixed is not None:
        whole, top, low = mixed[1], mixed[2] or mixed[4], mixed[3] or mixed[5]
        if int(low) == 0:
            return None
        return Value(int(whole) + Fraction(int(top), int(low))), mixed.end()
    ratio = _RATIO.match(text, begin)
    if ratio is not None:
        top, low = _decimal(ratio[1] or ratio[3]), _decimal(ratio[2] or ratio[4])
        return (Value(top.value / low.value), ratio.end()) if low.value else None
    number = _PLAIN.match(text, begin)
    if number is None:
        return None
    value, power = _decimal(number[0]), _POWER.match(text, number.end())
    if power is None:
        return value, number.end()
    return _times(value, Fraction(10) ** int(power[1] or power[2] or power[3])), power.end()


def _decimal(text: str) -> Value:
    text = text.replace(",", "").replace(" ", "")
    places = len(text.partition(".")[2])
    return Value(Fraction(text), Fraction(1, 10**places) if places else None)


def _times(value: Value, factor: Fraction) -> Value:
    place = value.place * factor if value.place is not None else None
    return replace(value, value=value.value * factor, place=place)


_TEXT_UNIT = re.compile(
    r"\\(?:text|mathrm|mbox|textrm|hbox|rm)\s*\{\s*([^{}]*?)\s*\}(\s*\^\s*\{?\s*-?\d\s*\}?)?[\s.$]*$"
)
_BARE_UNIT = re.compile(
    r"(?:(?<=[\d)}\]])|(?<=\\pi))\s+((?:[A-Za-zμΩ]{2,}(?:\s*\^\s*\{?\d\}?)?[\s/.]*)+)$"
)


def without_unit(text: str) -> tuple[str, str]:
    r"""An expression and the unit behind it, "" for none.

    A unit of one letter counts only where it is set as text: 2m is a product.

    >>> without_unit(r"2\sqrt{3}\text{ cm}^2"), without_unit(r"6\pi m")
    (('2\\sqrt{3}', 'cm^2'), ('6\\pi m', ''))
    """
    found = _TEXT_UNIT.search(text)
    unit = unit_of(found[1] + (found[2] or ""), True) if found else None
    if not unit:
        found = _BARE_UNIT.search(text)
        unit = unit_of(found[1], False) if found else None
    rest = text[: found.start()].strip() if found and unit else ""
    return (rest, unit) if rest and unit else (text, "")


def unit_of(text: str, letters: bool) -> str | None:
    r"""The unit that `text` names, `LABEL` for up to three other words, None if it is neither.

    Args:
        text: what follows a number, in one spelling (`ares.evaluation.text.plain`).
        letters: whether single letters and unknown words may be read so; where variables may
            stand, only units with two letters and more are.

    >>> unit_of("square meters", True), unit_of("km/h", True), unit_of("apples", True)
    ('m^2', 'h^-1 km', 'label')
    >>> unit_of("m", False), unit_of("cm^{2}", False), unit_of("x + 1", True)
    (None, 'cm^2', None)
    """
    text = text.strip()
    if not text:
        return ""
    powers = _powers(text, letters)
    if powers is not None:
        parts = (unit if n == 1 else f"{unit}^{n}" for unit, n in sorted(powers.items()) if n)
        return " ".join(parts)
    labels = text.split()
    if letters and len(labels) <= 3 and all(map(_is_label, labels)):
        return LABEL
    return None


def _powers(text: str, letters: bool) -> dict[str, int] | None:
    """Unit -> power; None if a piece is no unit."""
    powers: dict[str, int] = {}
    position, sign, sure = 0, 1, letters
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None or piece.end() == position:
            return None
        position = piece.end()
        word = piece["word"] or ""
        if piece["op"]:
            sign = -1 if piece["op"] in ("/", "per") else 1
        if piece["circle"] and word in ("", "C", "F"):
            unit = f"degree {word}".strip()
            sure = True
        elif word in _NAME and not piece["circle"]:
            unit = _NAME[word]
            sure = sure or len(word) > 1
        else:
            return None
        power = int(piece["power"] or 1)
        if piece["square"]:
            power = 2 if piece["square"].startswith("sq") else 3
        powers[unit] = powers.get(unit, 0) + sign * power
    return powers if sure else None


def _is_label(word: str) -> bool:
    return word.isalpha() and len(word) > 2 and word.lower() not in _NO_LABEL
