"""From a file of traces to a folder of tables, figures and a page."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from ares.errors import UserError
from ares.io import temporary_folder, write_text
from ares.method.lexicon import Lexicon
from ares.traces import Part
from ares.traces.figures import draw_difficulty, draw_words
from ares.traces.measure import Definition, measure
from ares.traces.page import chosen, packed, page
from ares.traces.read import Trace, part_of, read_traces
from ares.traces.spelling import clean
from ares.traces.spool import Spool

#: Columns of the table of traces that the summary and the choice of the page's traces need.
SUMMED = ["n_tokens", "entropy", "hwe", "hwe_validated", "top_k", "unlisted"]
SUMMED += ["correct", "difficulty"]
#: Words of a large model, for the bound on what is not listed.
VOCABULARY = 150_000

#: Pictures that stand on the page too, and what they show.
FIGURES = {
    "wordcloud": "Words of high entropy in the whole file",
    "difficulty": "Entropy, length and accuracy by difficulty in the whole file (Fig. 4b)",
}

HOW_TO_READ = (
    "The colour of a token is the entropy, in nats, of the distribution that it was drawn from. "
    "The window entropy of a token is the mean entropy of the tokens that start with it (eq. 4); a "
    "window that runs over the end does not count. A high-window-entropy (HWE) token is one whose "
    "window entropy reaches the threshold: the chosen percentile of all window entropies of the "
    "traces on this page, computed again with every move of a slider. On this page entropies are "
    "rounded to thousandths of a nat."
)


def analyze(
    path: str | Path,
    folder: Path,
    how: Definition,
    lexicon: Lexicon,
    page_traces: int,
    font: Path | None = None,
    part: Part = "all",
    drop_special: bool = False,
    strict: bool = False,
) -> Iterator[str]:
    """Write the tables, the figures and the page; yield a summary, line by line.

    Args:
        path: see `ares.traces.read.read_traces`.
        folder: receives the results; files of an earlier analysis are replaced.
        page_traces: on the page at most; 0 for no page.
        font: of the word cloud; None: one of this machine that has the letters.
        part, drop_special: see `ares.traces.read.part_of`.
        strict: see `ares.traces.read.read_traces`.

    Raises:
        UserError: the file can't be read, or there is nothing to measure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder / "spool") as scratch:
        own = partial(part_of, part=part, drop_special=drop_special)
        spool = _read(path, scratch / "traces.parquet", bool(page_traces), own, strict)
        theta, words = measure(spool, how, lexicon, folder)
        rows = pd.read_parquet(folder / "traces.parquet", columns=SUMMED)
        about = list(_numbers(path, how, theta, rows))
        yield from about
        for name in FIGURES:  # of an earlier analysis, which may have had more to draw
            for file in folder.glob(f"{name}.*"):
                file.unlink()
        yield from _figures(words, how, rows, folder, font)
        if page_traces:
            shown = spool.rows(chosen(rows, page_traces))
            name = "standard input" if str(path) == "-" else clean(Path(path).name)
            facts = {"file": name, "total": len(rows)}
            facts |= {"window": how.window, "percentile": how.percentile}
            told = [HOW_TO_READ, "The whole file, as `ares analyze` measured it:", *about]
            pictures = {shows: folder / f"{name}.png" for name, shows in FIGURES.items()}
            drawn = {shows: p.read_bytes() for shows, p in pictures.items() if p.is_file()}
            write_text(folder / "index.html", page(shown, lexicon, facts, told, drawn))
            yield f"page: {folder / 'index.html'} ({len(shown):,} of {len(rows):,} traces)"
    yield f"tables: {folder / 'tokens.parquet'}, {folder / 'traces.csv'}"


def _read(
    path: str | Path, scratch: Path, paged: bool, own: Callable[[Trace], Trace], strict: bool
) -> Spool:
    """Write all traces, or `own` of each, to the spool."""
    # A line is thousands of small objects: without this the collector would look through all
    # loaded modules again and again, which takes longer than reading.
    gc.freeze()
    try:
        with Spool(scratch) as spool:
            for trace in map(own, read_traces(path, progress="reading", strict=strict)):
                spool.add(trace, packed(trace) if paged else "")
    finally:
        gc.unfreeze()
    if not spool.traces:
        raise UserError(f"{path}: no trace in it; one JSON object per line is wanted")
    return spool


def _numbers(path: str | Path, how: Definition, theta: float, rows: pd.DataFrame) -> Iterator[str]:
    """What was measured, and how far it can be trusted.

    Args:
        rows: `SUMMED` of every trace.
    """
    tokens = int(rows["n_tokens"].sum())
    yield f"{path}: {len(rows):,} traces, {tokens:,} tokens"
    mean = (rows["entropy"] * rows["n_tokens"]).sum() / tokens
    bounds = rows[rows["top_k"].notna() & (rows["n_tokens"] > 0)]
    if len(bounds):
        unlisted = (bounds["unlisted"] * bounds["n_tokens"]).sum() / bounds["n_tokens"].sum()
        yield (
            f"entropy: {mean:.3f} nats per token; a lower bound in {len(bounds):,} traces, "
            f"from the {bounds['top_k'].min():.0f} most probable tokens and the rest as one more; "
            f"the rest has {unlisted:.2%} of the probability, which over {VOCABULARY:,} words is "
            f"worth at most {unlisted * math.log(VOCABULARY):.3f} nats more"
        )
    else:
        yield f"entropy: {mean:.3f} nats per token, exact as the file gives it"
    yield (
        f"threshold: {theta:.4f} nats ({how.threshold}, percentile {how.percentile:g}, "
        f"windows of {how.window})"
    )
    hwe = rows["hwe"].sum()
    yield (
        f"HWE tokens: {hwe:,} ({hwe / tokens:.1%}), {hwe / len(rows):.1f} per trace; "
        f"{rows['hwe_validated'].sum():,} of them are reasoning triggers"
    )


def _figures(
    words: pd.DataFrame, how: Definition, rows: pd.DataFrame, folder: Path, font: Path | None
) -> Iterator[str]:
    """Draw what can be drawn; say what can't."""
    if not (words["category"] != "").any():
        yield "no token is in the lexicon: are the tokens words of its language?"
    if (words["high"] > 0).any():
        yield draw_words(words, how.percentile, folder, font)
    else:
        yield "no word cloud: no token of high entropy has a letter"
    given = {"correct": rows["correct"].notna(), "difficulty": rows["difficulty"] != ""}
    missing = [name for name, of_trace in given.items() if not of_trace.any()]
    if missing:
        yield f"no figure of difficulty: the file does not say {' and '.join(missing)}"
    elif not (given["correct"] & given["difficulty"]).any():
        yield "no figure of difficulty: the file says correct and difficulty of different traces"
    else:
        draw_difficulty(folder / "traces.parquet", folder)
        yield f"entropy and difficulty (Fig. 4b): {folder / 'difficulty.png'}"
