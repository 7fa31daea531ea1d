"""One HTML file in which traces are read token by token; it works without a server or a network.

Traces are foreign text. They stand in the file as JSON in which no character can end the block
(`<`, `>`, `&` and the line separators are escaped), the script puts them into the page as text
only, and the page's policy lets nothing run or load but the one script and the one style sheet
whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from ares.method.lexicon import Lexicon, normalize_token
from ares.traces.sample import Packed

#: Steps of the colour map; the script has the same number.
LEVELS = 24
#: From no entropy to the most, per theme: one hue, lightness falling or rising steadily.
COLOURS = {
    "light": ("#ffffff", "#e3eef9", "#bcd7ec", "#7fb6d9", "#3f8fc5", "#1764ab", "#08306b"),
    "dark": ("#14171c", "#16304d", "#1c4f80", "#2f78b7", "#69a9d8", "#b3d6ee", "#f4fbff"),
}
#: Of text on a colour: the first that can be read (contrast 4.5), and one of these always can.
_INK = ("#16181d", "#ffffff", "#000000")


def page(
    shown: Sequence[Packed],
    words: Mapping[str, int],
    lexicon: Lexicon,
    facts: Mapping[str, Any],
    about: Sequence[str],
) -> str:
    """The page.

    Args:
        shown: at least one trace.
        words: number of every token of the traces, and of listed alternatives.
        lexicon: marks reasoning triggers.
        facts: file (name), total (traces in the file), window, percentile.
        about: paragraphs that say what is shown and how it was measured.
    """
    folder = Path(__file__).parent
    style = (folder / "page.css").read_text(encoding="utf-8") + colour_rules()
    script = (folder / "page.js").read_text(encoding="utf-8")
    parts = {
        "STYLE": style,
        "STYLE_HASH": policy_hash(style),
        "SCRIPT": script,
        "SCRIPT_HASH": policy_hash(script),
        "DATA": embedded(_data(shown, words, lexicon) | dict(facts) | {"about": list(about)}),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    # One pass, so that a trace that looks like a placeholder stays what it is.
    return re.sub(r"@@([A-Z_]+)@@", lambda found: parts[found[1]], template)


def embedded(value: Any) -> str:
    r"""JSON that may stand inside a script element.

    >>> embedded("</script>&" + chr(0x2028))
    '"\\u003c/script\\u003e\\u0026\\u2028"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def policy_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline script or style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def colour_rules() -> str:
    """Style rules `.h1` .. `.h23` of the colour map, for both themes; `.h0` is the page itself."""
    rules = []
    for theme, prefix in (("light", ""), ("dark", ":root[data-theme=dark] ")):
        for number in range(1, LEVELS):
            colour = shade(COLOURS[theme], number / (LEVELS - 1))
            rules.append(f"{prefix}.h{number}{{background:{colour};color:{ink_on(colour)}}}")
    return "\n".join(rules)


def shade(anchors: Sequence[str], place: float) -> str:
    """The colour at `place` (0 to 1) of a map through evenly spaced anchors.

    >>> shade(("#000000", "#204060"), 0.5)
    '#102030'
    """
    return to_hex(LinearSegmentedColormap.from_list("", anchors, N=1025)(place))


def ink_on(colour: str) -> str:
    """Colour of text that can be read on a colour."""
    return next(ink for ink in _INK if contrast(ink, colour) >= 4.5)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2).

    >>> round(contrast("#ffffff", "#000000"), 1)
    21.0
    """
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _data(shown: Sequence[Packed], words: Mapping[str, int], lexicon: Lexicon) -> dict[str, Any]:
    """Words, their categories, and the traces by numbers of words."""
    spelling = list(words)
    number: dict[int, int] = {}  # of the words that are used

    def renumbered(word: int) -> int:
        return number.setdefault(word, len(number))

    traces = []
    for packed in shown:
        choices = packed.choices.tolist()
        choices[1::3] = map(renumbered, choices[1::3])
        traces.append(
            {
                **packed.said,
                "tokens": [renumbered(word) for word in packed.tokens],
                "entropy": packed.entropy.tolist(),
                "choices": choices,
            }
        )
    categories = list(lexicon.categories)
    used = [spelling[word] for word in number]
    found = [lexicon.category_of.get(normalize_token(word)) for word in used]
    return {
        "words": used,
        "categories": categories,
        "category": [-1 if name is None else categories.index(name) for name in found],
        "traces": traces,
    }
