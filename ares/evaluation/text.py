r"""One spelling for an answer: Unicode signs, digits and superscripts as plain LaTeX, markup gone.

`plain` is the first step of every comparison. It changes no meaning: what it removes is spacing,
dollar signs, \left and \right, fonts, bold marks and a full stop at the end.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

#: Signs that NFKC would spoil (5² must not become 52, nor 1½ become 11/2) or leaves alone.
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
_SUPERSCRIPT_RUN = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_VULGAR = re.compile("[¼-¾⅐-⅞↉]")
_SIGNS = {
    **dict.fromkeys("−‐‑‒–—﹣－", "-"),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("°º", r"^\circ "),
    **dict.fromkeys("·⋅", r"\cdot "),
    "。": ".",
    "、": ",",
    "′": "'",
}
_COMMANDS = (
    "×times πpi ∞infty ±pm ∓mp ≤le ≥ge ≠ne ∪cup ∩cap ∅emptyset ≈approx θtheta αalpha βbeta ∠angle"
)
_SIGNS |= {command[0]: f"\\{command[1:]} " for command in _COMMANDS.split()}
_SIGN_TABLE = str.maketrans(_SIGNS)
#: Other spellings of the same, which no parser reads; a degree sign that a wrong encoding spoiled.
_SPELLINGS = {
    "掳|Â°": "°",
    r"\\varnothing(?![A-Za-z])": r"\\emptyset ",
    r"\\land(?![A-Za-z])": r"\\wedge ",
    r"\\lor(?![A-Za-z])": r"\\vee ",
    r"\\lnot(?![A-Za-z])": r"\\neg ",
    r"\\langle(?![A-Za-z])": "(",
    r"\\rangle(?![A-Za-z])": ")",
    r"(?<=\d),\\!\s*(?=\d{3}(?!\d))": ",",  # 10,\!080
    r"(?<![A-Za-z])(?:US|A|C|HK|NZ)\\?\$(?=\s*\d)": "$",
    r"(?<=\d)\s*[€£¥₹元](?!\w)": "",
    r"(?<=[\w)\]}])\s*\*\*\s*(-?\d+|\w|\([^()]*\))": r"^{\1}",  # of programs
    r"\{\s*([^{}\\]+)\\choose\s+([^{}\\]+)\}": r"\\binom{\1}{\2}",
    r"\{\s*([^{}\\]+)\\over\s+([^{}\\]+)\}": r"\\frac{\1}{\2}",
}
#: Decimals that repeat: 0.1\overline{6}, 0.\dot{3}, 0.\dot{1}4\dot{2}.
_REPEATED = r"\\(?:overline|bar|dot)\s*\{?\s*(\d+)\s*\}?(?:(\d*)\\dot\s*\{?\s*(\d)\s*\}?)?"
_REPEATING = re.compile(rf"(?<!\d)(\d*)\.(\d*){_REPEATED}")
#: What every one of these has.
_UNUSUAL = re.compile(r"[\\掳Â*$€£¥₹元]")
_SPELLING = [(re.compile(pattern), sign) for pattern, sign in _SPELLINGS.items()]
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])?")

_FONTS = (
    "text|textbf|textit|textrm|textsf|texttt|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|emph"
    r"|operatorname|bm|boldsymbol|pmb|underline|textcolor\s*\{[^{}]*\}|color\s*\{[^{}]*\}"
)
_FONT = re.compile(rf"\\(?:{_FONTS})\s*\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}")
_SPACING = re.compile(
    r"\\(?:left|right|bigl|bigr|Bigl|Bigr|big|Big|displaystyle|quad|qquad)(?![A-Za-z])\.?"
    r"|(?<!\\)\\[,;:! ]|~|\\?\$|(?<!\\)\\[()]|^\\\[|\\\]$"
)
_FRACTION_STYLE = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(?:(\d)|\{([^{}]*)\})\s*(?:(\d)|\{([^{}]*)\})")
_ENDS = " \t\n\r*_`"
#: "Yes!"; but a factorial keeps its sign, 10! is not 10.
_EXCLAIMED = re.compile(r"(?<![\d)}\]!])(?<!(?<![A-Za-z])[A-Za-z])!+$")


@lru_cache(10_000)  # golds, choices and answers are looked at several times
def plain(text: str) -> str:
    r"""`text` in one spelling.

    >>> plain("**$\\dfrac12$ cm².**"), plain("\\text{(B)}"), plain("３ ٤ −½"), plain("1½")
    ('\\frac{1}{2} cm^{2}', '(B)', '3 4 - 1/2', '1 1/2')
    """
    if _UNUSUAL.search(text):
        for pattern, sign in _SPELLING:
            text = pattern.sub(sign, text)
        text = _REPEATING.sub(_repeating, text)
    text = _SUPERSCRIPT_RUN.sub(_raised, text)
    text = _VULGAR.sub(_spelled, text)
    text = _ROOT.sub(_rooted, text.translate(_SIGN_TABLE))
    text = "".join(map(_ascii_digit, unicodedata.normalize("NFKC", text)))
    text = text.replace("{,}", ",").replace(r"\%", "%").replace(r"\{", r"\lbrace ")
    text = text.replace(r"\}", r"\rbrace ")
    text = _SPACING.sub(" ", text)
    for _ in range(4):  # fonts nest, rarely deeper than this
        text, changed = _FONT.subn(r" \1 ", text)
        if not changed:
            break
    text = _FRACTION_STYLE.sub(r"\\frac", text)
    text = _SHORT_FRACTION.sub(_braced, text)
    text = text.replace(r"\lbrace ", r"\{").replace(r"\rbrace ", r"\}")
    text = " ".join(text.split()).strip(_ENDS)
    text = text if text.endswith(r"\}") else text.rstrip(".,;:\\" + _ENDS)
    return text.rstrip("!" + _ENDS) if _EXCLAIMED.search(text) else text


def squeezed(text: str) -> str:
    """A plain text without spaces, except between two digits: "1 2" is not 12."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_WORD = re.compile(rf"(?<!\w)[-+]?{_NUMBER}|[^\W\d_]+|\d+|[^\s\w]")
_DROPPED = set(".,;:!?'\"()[]{}-_\\")
#: Before one letter: neither a hyphen nor a dash.
_MINUS = re.compile(r"(?<!\w)-(?=[^\W\d_](?![^\W\d_]))")
#: Before a word, in small letters or first: "Hepatitis A" and "C, A, A" have none.
_ARTICLE = re.compile(r"(?:\b(?:an?|the)|^(?:An?|The))\s+(?=[^\W\d_]{2})")


def words(text: str) -> tuple[str | Fraction, ...]:
    """What counts of a text answer: words without case, numbers by value, signs.

    Punctuation, hyphens and articles don't count; signs such as + < % ^ do ("C++" is not "C").

    >>> words("The Eiffel-Tower, 3.0 m.") == words("eiffel tower 3 m")
    True
    """
    found: list[str | Fraction] = []
    said = _MINUS.sub("minus ", _ARTICLE.sub("", plain(text)))
    for word in _WORD.findall(said.casefold()):
        if word[-1].isdecimal() and word.isascii() and len(word) < 100:
            found.append(Fraction(word.replace(",", "")))
        elif word not in _DROPPED:
            found.append(word)
    return tuple(found)


def _repeating(match: re.Match[str]) -> str:
    """A decimal that repeats as a fraction."""
    whole, once = match[1], match[2]
    again = "".join(match[part] or "" for part in (3, 4, 5))
    low = 10 ** len(once) * (10 ** len(again) - 1)
    return rf"\frac{{{int(whole + once + again) - int(whole + once or '0')}}}{{{low}}}"


def _raised(match: re.Match[str]) -> str:
    return "^{" + "".join(_SUPERSCRIPTS[sign] for sign in match[0]) + "}"


def _spelled(match: re.Match[str]) -> str:
    """A sign such as ½ as " 1/2"; the space keeps a whole number before it apart."""
    return " " + unicodedata.normalize("NFKC", match[0]).replace("⁄", "/")


def _rooted(match: re.Match[str]) -> str:
    return rf"\sqrt{{{match[1]}}}" if match[1] else r"\sqrt"


def _ascii_digit(sign: str) -> str:
    return str(unicodedata.decimal(sign)) if not sign.isascii() and sign.isdecimal() else sign


def _braced(match: re.Match[str]) -> str:
    top, bottom = match[1] or match[2] or "", match[3] or match[4] or ""
    return rf"\frac{{{top.strip()}}}{{{bottom.strip()}}}"
