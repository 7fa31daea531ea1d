"""How numbers, rules and verdicts read on the page."""

from __future__ import annotations

import math

from ares.analysis.findings.rules import CONTRADICTED, OPEN, PARTLY, REPRODUCED, Finding, Part

#: Sign and class of a verdict; its word is the verdict itself, or for an aim the one below.
SIGNS = {REPRODUCED: "✓", PARTLY: "◐", CONTRADICTED: "✗", OPEN: "○"}
CLASSES = {REPRODUCED: "good", PARTLY: "half", CONTRADICTED: "bad", OPEN: "open"}
AIM_WORDS = {REPRODUCED: "met", PARTLY: "partly met", CONTRADICTED: "missed", OPEN: OPEN}
MINUS = "\N{MINUS SIGN}"


def verdict(word: str, by: str) -> str:
    """A verdict in words: the project's aims are met or missed, the paper's findings reproduced."""
    return AIM_WORDS[word] if by == "project" else word


def number(value: float, width: float) -> str:
    """A number with as many decimals as the width of its interval is worth, about two digits of it.

    >>> number(-0.218397, 0.115), number(59.13, 9.4), number(0.001, math.nan)
    ('−0.218', '59.1', '0.001')
    """
    if math.isnan(value):
        return "no number"
    if not math.isfinite(width) or width <= 0:
        return _signed(f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}")
    return _signed(f"{value:,.{_decimals(width)}f}")


def interval(low: float, high: float) -> str:
    """An interval in brackets, empty where there is none.

    >>> interval(-0.274833, -0.159536), interval(math.nan, math.nan)
    ('[−0.275, −0.160]', '')
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, high - low)}, {number(high, high - low)}]"


def _decimals(width: float) -> int:
    return max(0, math.ceil(1 - math.log10(width / 3)))


def _signed(text: str) -> str:
    """A real minus sign, and none before a zero."""
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def paper_number(value: float) -> str:
    """The paper's number, as it follows from its printed ones; a dash where it gives none."""
    return "–" if math.isnan(value) else _signed(f"{value:,.6g}")


def rule(part: Part, level: float) -> str:
    """When a part counts as reproduced."""
    bound = _signed(f"{part.bound:g}")
    if part.direction == "within":
        return f"whole interval between {MINUS}{bound} and {bound}"
    at_least = f", number at least {part.minimum:g} {part.direction} it" if part.minimum else ""
    return f"whole {level:.0%} interval {part.direction} {bound}{at_least}"


def rule_of_finding(finding: Finding) -> str:
    """What the verdict of a finding hangs on."""
    deciding = sum(part.decides for part in finding.parts)
    word = verdict(REPRODUCED, finding.by)
    whole = f"{word} when all {deciding} deciding parts are" if deciding > 1 else ""
    text = whole or f"{word} when its one deciding part is"
    return text[0].upper() + text[1:]


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(41), duration(2710), duration(5280)
    ('41 s', '45 min', '1 h 28 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """A number of bytes in words.

    >>> size(900), size(3_400_000)
    ('900 bytes', '3.4 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"
