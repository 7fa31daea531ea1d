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

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from ares.method.lexicon import Lexicon, normalize_token
from ares.traces.read import Trace

#: Steps of the colour map; the script has the same number.
LEVELS = 24
#: From no entropy to the most, per theme: one hue, lightness falling or rising steadily.
COLOURS = {
    "light": ("#ffffff", "#e3eef9", "#bcd7ec", "#7fb6d9", "#3f8fc5", "#1764ab", "#08306b"),
    "dark": ("#14171c", "#16304d", "#1c4f80", "#2f78b7", "#69a9d8", "#b3d6ee", "#f4fbff"),
}
#: Tokens on a page, as more make it slow to open, and tokens of one trace.
PAGE_TOKENS, TRACE_TOKENS = 400_000, 50_000
#: Characters of a prompt, and of names and answers.
PROMPT_CHARACTERS, NAME_CHARACTERS = 20_000, 2_000
#: Alternatives shown for a token, the least log-probability of one that is shown, and the entropy
#: (nats) from which on there is a choice to show.
ALTERNATIVES, FAINTEST, CHOICE = 5, -6.0, 0.02


def packed(trace: Trace) -> str:
    """What only the page shows of a trace, as JSON.

    The choices have the place of a token as key, and as value word and probability of its
    alternatives.
    """
    choices = {
        place: [
            (word, round(np.exp(min(logprob, 0.0)), 3))
            for word, logprob in trace.alternatives(place)[:ALTERNATIVES]
            if logprob >= FAINTEST
        ]
        for place in np.flatnonzero(trace.entropy[:TRACE_TOKENS] >= CHOICE).tolist()
        if trace.listed
    }
    said = {name: getattr(trace, name)[:NAME_CHARACTERS] for name in ("answer", "gold")}
    return json.dumps({**said, "prompt": trace.prompt[:PROMPT_CHARACTERS], "choices": choices})


def chosen(rows: pd.DataFrame, wanted: int) -> np.ndarray:
    """Numbers of the traces that a page shows: the same share of every difficulty and verdict,
    evenly spaced in each; at most `wanted`, of at most `PAGE_TOKENS` tokens, or one trace.

    Args:
        rows: difficulty, correct and n_tokens of every trace.
    """
    kind = 3 * pd.factorize(rows["difficulty"])[0] + pd.factorize(rows["correct"])[0]
    # The smallest kinds first: what they leave of their share goes to the others.
    kinds = sorted((np.flatnonzero(kind == one) for one in np.unique(kind)), key=len)
    length = rows["n_tokens"].clip(upper=TRACE_TOKENS).to_numpy()
    number = wanted
    while True:
        found: list[int] = []
        for left, places in zip(range(len(kinds), 0, -1), kinds, strict=True):
            share = min(len(places), -(-(number - len(found)) // left))
            found += places[np.arange(share) * len(places) // max(share, 1)].tolist()
        size = int(length[found].sum())
        if size <= PAGE_TOKENS or len(found) <= 1:
            return np.sort(found)
        number = max(1, min(len(found) - 1, len(found) * PAGE_TOKENS // size))


def page(
    shown: Sequence[Mapping[str, Any]],
    lexicon: Lexicon,
    facts: Mapping[str, Any],
    about: Sequence[str],
    figures: Mapping[str, bytes] | None = None,
) -> str:
    """The page.

    Args:
        shown: at least one trace, as `ares.traces.spool.Spool.rows` gives it.
        lexicon: marks reasoning triggers.
        facts: file (name), total (traces in the file), window, percentile.
        about: paragraphs that say what is shown and how it was measured.
        figures: of the whole file: PNG by what it shows.
    """
    folder = Path(__file__).parent
    style = (folder / "page.css").read_text(encoding="utf-8") + colour_rules()
    script = (folder / "page.js").read_text(encoding="utf-8")
    parts = {
        "STYLE": style,
        "STYLE_HASH": policy_hash(style),
        "SCRIPT": script,
        "SCRIPT_HASH": policy_hash(script),
        "FIGURES": "\n".join(_figure(*each) for each in (figures or {}).items()),
        "DATA": embedded({**_data(shown, lexicon), **facts, "about": about}),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    # One pass, so that a trace that looks like a placeholder stays what it is.
    return re.sub(r"@@([A-Z_]+)@@", lambda found: parts[found[1]], template)


def _figure(shows: str, png: bytes) -> str:
    """A figure within the page, folded; `shows` is ours, no text of a trace."""
    source = base64.b64encode(png).decode()
    picture = f'<img class="figure" alt="{shows}" src="data:image/png;base64,{source}">'
    return f'<details class="about"><summary>{shows}</summary>{picture}</details>'


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
    """Black or white, whichever reads better on a colour: a contrast of 4.5 at least (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return "#000000" if np.dot((0.2126, 0.7152, 0.0722), linear) > 0.179 else "#ffffff"


def _data(shown: Sequence[Mapping[str, Any]], lexicon: Lexicon) -> dict[str, Any]:
    """Words, their categories, and the traces by numbers of words."""
    words: dict[str, int] = {}

    def number(word: str) -> int:
        return words.setdefault(word, len(words))

    traces = []
    for row in shown:
        said = json.loads(row["page"])
        entropy = np.array(row["entropy"][:TRACE_TOKENS], float)
        choices = {
            place: [(number(word), probability) for word, probability in listed]
            for place, listed in said["choices"].items()
        }
        traces.append(
            {
                **said,
                **{name: row[name][:NAME_CHARACTERS] for name in ("id", "benchmark", "finish")},
                **{name: row[name] for name in ("difficulty", "correct")},
                "cut_from": len(row["tokens"]) if len(row["tokens"]) > TRACE_TOKENS else 0,
                "tokens": list(map(number, row["tokens"][:TRACE_TOKENS])),
                "entropy": np.rint(1000 * entropy).astype(int).tolist(),  # thousandths of a nat
                "choices": choices,
            }
        )
    categories = list(lexicon.categories)
    found = [lexicon.category_of.get(normalize_token(word)) for word in words]
    return {
        "words": list(words),
        "categories": categories,
        "category": [-1 if name is None else categories.index(name) for name in found],
        "traces": traces,
    }
