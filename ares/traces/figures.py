"""Figures of a file of traces: the words of high entropy, and the four panels of Fig. 4b."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.ft2font import FT2Font

from ares.analysis.difficulty import figure4
from ares.errors import UserError
from ares.method.difficulty import BUCKETS
from ares.method.lexicon import CATEGORIES
from ares.plotting import (
    ARMS,
    FONT,
    PAGE,
    PAIR,
    interval_bars,
    note,
    save_figure,
    use_style,
    word_cloud,
)
from ares.stats import Resampler

#: Words drawn, and letters of one; the table beside the figure has them all.
WORDS, LETTERS = 150, 30
#: Questions of a difficulty that are drawn one by one; more of them are drawn in so many groups,
#: which bounds the memory and leaves the variance of a mean what it is.
UNITS = 2000
COVERAGE, RESAMPLES, SEED = 0.95, 1000, 1
PANELS = {
    "i": "accuracy, by HWE count",
    "ii": "length (tokens)",
    "iii": "HWE tokens",
    "iv": "length (tokens)",
}


def draw_words(
    words: pd.DataFrame, percentile: float, folder: Path, font: Path | None = None
) -> str:
    """Write wordcloud.png, .pdf and .csv: words by how often they are of high entropy (Fig. 2b).

    Args:
        words: `ares.traces.measure.word_table`, at least one row with `high` above 0.
        percentile: from which on a token's own entropy is high.
        font: of the words; None: the first of this machine that has the letters of most.

    Returns:
        Where the picture is, or what it lacks; the table has all words.

    Raises:
        UserError: the font can't be read.
    """
    use_style()
    shown = words[words["high"] > 0].head(WORDS)
    hues = dict(zip(CATEGORIES, [arm["color"] for arm in ARMS.values()], strict=False))
    hues |= {"": "#8A8A8A", "user": "#0072B2"}
    colour: dict[str, str] = {}
    weights: dict[str, float] = {}
    for row in shown.itertuples():
        # A word of hundreds of letters, as a trace may hold, has no place in a picture.
        name = row.word if len(row.word) <= LETTERS else row.word[: LETTERS - 1] + "…"
        # Line ends within a word can't be laid out, other controls have no shape.
        name = "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
        colour[name] = hues.get(row.category, hues["user"])
        weights[name] = weights.get(name, 0.0) + row.high
    face, drawn = _font_for(list(weights), font)
    if not drawn:
        return f"no word cloud: {face.name} has the letters of no word; name a font with --font"
    fig, ax = plt.subplots(figsize=(PAGE, 3.9))
    word_cloud(ax, {name: weights[name] for name in drawn}, colour, SEED, face)
    for category in [name for name in hues if name in set(shown["category"])]:
        ax.plot([], [], "s", color=hues[category], label=category or "not in the lexicon")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, handletextpad=0.1)
    note(fig, f"Size: tokens whose own entropy is at or above the {percentile:g}th percentile.")
    save_figure(fig, words, folder, "wordcloud")
    plt.close(fig)
    if left_out := len(weights) - len(drawn):
        return f"{left_out} of {len(weights)} words are not drawn: {face.name} lacks their letters"
    return f"words of high entropy: {folder / 'wordcloud.png'}"


def _font_for(names: list[str], given: Path | None) -> tuple[Path, list[str]]:
    """The font that has the letters of most of the names, and those names."""
    if given is not None:
        try:
            known = {given: _covered(names, given)}
        except (OSError, RuntimeError) as error:
            raise UserError(f"{given}: can't be read as a font ({error})") from None
    else:
        known = {FONT: _covered(names, FONT)}
        others = font_manager.findSystemFonts() if len(known[FONT]) < len(names) else []
        for path in map(Path, sorted(others)):
            with suppress(OSError, RuntimeError):  # bitmaps and damaged files
                known[path] = _covered(names, path)
    face = max(known, key=lambda path: len(known[path]))
    return face, known[face]


def _covered(names: list[str], font: Path) -> list[str]:
    """The names of whose letters a font has all."""
    face = FT2Font(str(font))
    return [name for name in names if all(face.get_char_index(ord(sign)) for sign in name)]


def draw_difficulty(path: Path, folder: Path) -> None:
    """Write difficulty.png, .pdf and .csv: Fig. 4b, with 95 % intervals over questions.

    Args:
        path: traces.parquet (`ares.traces.measure`), with at least one row that says correctness
            and difficulty; rows that lack one of them take no part.

    Raises:
        UserError: a question has two difficulties.
    """
    use_style()
    table = _of_questions(path)
    questions = int(table.pop("question").max()) + 1
    strata = table["bucket"].astype(str)
    resampler = Resampler(table["problem_id"], strata, RESAMPLES, COVERAGE, SEED)
    rows = figure4(table, resampler)
    fig, axes = plt.subplots(1, 4, figsize=(PAGE, 2.3))
    for ax, (panel, title) in zip(axes, PANELS.items(), strict=True):
        _draw_panel(ax, rows[rows["panel"] == panel])
        ax.set_title(f"({panel}) {title}")
    axes[0].set_yticks(np.linspace(0, 1, 6))  # what is above is room for the legend
    note(
        fig,
        f"{len(table):,} traces of {questions:,} questions; {COVERAGE:.0%} intervals over "
        "questions. (i): below and above the mean HWE count of a difficulty.",
    )
    save_figure(fig, rows, folder, "difficulty")
    plt.close(fig)


def _of_questions(path: Path) -> pd.DataFrame:
    """The traces that take part, as `figure4` wants them.

    Returns:
        question (numbered from 0), problem_id (the question, or where there are more than `UNITS`
        of a difficulty, one of so many groups of them), bucket, correct, right, hwe_count, length.

    Raises:
        UserError: a question has two difficulties.
    """
    wanted = ["problem", "difficulty", "correct", "hwe", "n_tokens"]
    # Every name once: as many texts as traces would be most of the memory.
    rows = pq.read_table(path, columns=wanted, read_dictionary=wanted[:2]).to_pandas()
    rows = rows[rows["correct"].notna() & (rows["difficulty"] != "")]
    number, names = pd.factorize(rows["problem"])
    bucket = pd.Categorical(rows["difficulty"], BUCKETS)
    table = pd.DataFrame(
        {
            "question": number,
            "bucket": bucket,
            "correct": rows["correct"].to_numpy(bool),
            "hwe_count": rows["hwe"].to_numpy(np.int32),
            "length": rows["n_tokens"].to_numpy(np.int32),
        }
    )
    first = table[~table["question"].duplicated()]
    strange = first["bucket"].cat.codes.to_numpy()[number] != bucket.codes
    if strange.any():
        raise UserError(
            f"{names[number[strange.argmax()]]}: traces of one id have two difficulties; give the "
            "difficulty of the question"
        )
    unit = first["bucket"].cat.codes.astype(np.int32) * UNITS
    unit += first.groupby("bucket", observed=True).cumcount() % UNITS
    return table.assign(problem_id=unit.to_numpy()[number], right=table["correct"])


def _draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    """One panel: a pair of bars (or one) for every difficulty."""
    conditions = sorted(rows["condition"].unique(), reverse=True)  # wrong, right; below, above
    width = 0.8 / len(conditions)
    for side, condition in enumerate(conditions):
        chosen = rows[rows["condition"] == condition].set_index("difficulty").reindex(BUCKETS)
        places = [i + (side - (len(conditions) - 1) / 2) * width for i in range(len(BUCKETS))]
        label = condition.removesuffix(" threshold")
        style: dict[str, Any] = {"color": PAIR[side], "label": label}
        interval_bars(ax, places, chosen, width, **style)
    ax.set(xticks=range(len(BUCKETS)), xticklabels=BUCKETS)
    ax.margins(y=0.35)  # room for the legend
    if len(conditions) > 1:
        ax.legend(fontsize=6, loc="upper center", ncols=2, handlelength=1, columnspacing=1)
