"""Units after a number, in one spelling: "square metres", "m^{2}" and "sq m" are the same."""

from __future__ import annotations

import re

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


def unit_of(text: str, letters: bool) -> str | None:
    r"""The unit that `text` names, `LABEL` for up to three other words, None if it is neither.

    Args:
        text: what follows a number, in one spelling (`ares.answers.text.plain`).
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
