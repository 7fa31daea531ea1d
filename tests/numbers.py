"""Numbers of a text beside the values that they are said to round."""

import re
from collections.abc import Iterable


def strays(text: str, values: Iterable[float]) -> list[str]:
    """Numbers of a text that round none of the values, themselves or in percent."""
    values, found = list(values), []
    for sign, number in re.findall(r"([+-]?)(?<![\w.])(\d+(?:\.\d+)?)", text):
        digits = len(number.partition(".")[2])
        rounded = {f"{value * unit:+.{digits}f}" for value in values for unit in (1, 100)}
        if not {f"{sign}{number}", *([] if sign else [f"+{number}", f"-{number}"])} & rounded:
            found.append(sign + number)
    return found
