"""From a file of traces to a folder of tables, figures and a page."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ares.errors import UserError
from ares.io import atomic_path, temporary_folder, write_table, write_text
from ares.method.lexicon import Lexicon
from ares.traces.figures import draw_difficulty, draw_words
from ares.traces.measure import Definition, Measured, measure
from ares.traces.page import page
from ares.traces.read import Trace, read_traces
from ares.traces.sample import PageSample
from ares.traces.spelling import clean
from ares.traces.spool import Spool

#: Columns of the table of traces, in their order.
COLUMNS = (
    *("trace", "id", "problem", "benchmark", "difficulty", "correct", "finish", "n_tokens"),
    *("entropy", "hwe", "hwe_validated", "max_window", "top_k", "unlisted"),
)


#: Words of a large model, for the bound on what is not listed.
VOCABULARY = 150_000

HOW_TO_READ = (
    "The colour of a token is the entropy, in nats, of the distribution that it was drawn from. "
    "The window entropy of a token is the mean entropy of the tokens that start with it (eq. 4); a "
    "window that runs over the end does not count. A high-window-entropy (HWE) token is one whose "
    "window entropy reaches the threshold: the chosen percentile of all window entropies of the "
    "traces on this page, computed again with every move of a slider. On this page entropies are "
    "rounded to thousandths of a nat."
)


def analyze(
    path: str | Path, folder: Path, how: Definition, lexicon: Lexicon, page_traces: int
) -> Iterator[str]:
    """Write the tables, the figures and the page; give what there is to tell, line by line.

    Args:
        path: see `ares.traces.read.read_traces`.
        folder: receives the results; files of an earlier analysis are replaced.
        page_traces: on the page at most; 0 for no page.

    Raises:
        UserError: the file can't be read, or there is nothing to measure.
    """
    if page_traces < 0:
        raise UserError(f"--page-traces {page_traces}: give the number of traces, 0 for no page")
    folder.mkdir(parents=True, exist_ok=True)
    sample = PageSample(page_traces)
    with temporary_folder(folder / "spool") as scratch:
        spool, facts = _read(path, scratch / "tokens.parquet", lexicon, sample)
        with atomic_path(folder / "tokens.parquet") as temporary:
            measured = measure(spool, how, temporary)
    traces = pd.concat([facts, measured.traces], axis=1)
    traces["trace"] = range(len(traces))
    traces = traces[list(COLUMNS)]
    for ending in ("csv", "parquet"):
        write_table(folder / f"traces.{ending}", traces)
    about = list(_numbers(path, how, traces, measured))
    yield from about
    yield from _figures(traces, measured, how, folder)
    if page_traces:
        yield _page(path, folder, how, sample, lexicon, about)
    yield f"tables: {folder / 'tokens.parquet'}, {folder / 'traces.csv'}"


def _page(
    path: str | Path,
    folder: Path,
    how: Definition,
    sample: PageSample,
    lexicon: Lexicon,
    about: list[str],
) -> str:
    """Write the page; say where it is, and how much of the file it shows."""
    shown, total = sample.chosen(), sum(sample.seen.values())
    facts = {
        "file": "standard input" if str(path) == "-" else clean(Path(path).name),
        "total": total,
        "window": how.window,
        "percentile": how.percentile,
    }
    explained = [HOW_TO_READ, "The whole file, as `ares analyze` measured it:", *about]
    write_text(folder / "index.html", page(shown, sample.words, lexicon, facts, explained))
    return f"page: {folder / 'index.html'} ({len(shown):,} of {total:,} traces)"


def _read(
    path: str | Path, spooled: Path, lexicon: Lexicon, sample: PageSample
) -> tuple[Spool, pd.DataFrame]:
    """All traces to the spool, some to the page; what the file says of each as a table."""
    facts: list[tuple[Any, ...]] = []
    # A line is thousands of small objects: without this the collector would look through all
    # loaded modules again and again, which takes longer than reading.
    gc.freeze()
    try:
        with Spool(spooled, lexicon) as spool:
            for trace in read_traces(path, progress="reading"):
                sample.add(spool.traces, trace)
                spool.add(trace)
                facts.append(_facts(trace))
    finally:
        gc.unfreeze()
    if not facts:
        raise UserError(f"{path}: no trace in it; one JSON object per line is wanted")
    names = ["id", "problem", "benchmark", "difficulty", "correct", "finish", "top_k"]
    table = pd.DataFrame(facts, columns=names)
    return spool, table.astype({"correct": "boolean", "top_k": "Int64"})


def _facts(trace: Trace) -> tuple[Any, ...]:
    return (
        *(trace.id, trace.problem, trace.benchmark, trace.difficulty, trace.correct),
        *(trace.finish, trace.top_k),
    )


def _numbers(
    path: str | Path, how: Definition, traces: pd.DataFrame, measured: Measured
) -> Iterator[str]:
    """What was measured, and how far it can be trusted."""
    tokens = int(traces["n_tokens"].sum())
    yield f"{path}: {len(traces):,} traces, {tokens:,} tokens"
    weights = traces["n_tokens"] / tokens
    mean = (traces["entropy"].fillna(0) * weights).sum()
    estimated = traces["top_k"].notna() & (traces["n_tokens"] > 0)
    if estimated.any():
        unlisted = (traces["unlisted"].fillna(0) * weights)[estimated].sum()
        unlisted /= weights[estimated].sum()
        yield (
            f"entropy: {mean:.3f} nats per token; a lower bound in {estimated.sum():,} traces, "
            f"from the {int(traces['top_k'].min())} most probable tokens and the rest as one more; "
            f"the rest has {unlisted:.2%} of the probability, which over {VOCABULARY:,} words is "
            f"worth at most {unlisted * math.log(VOCABULARY):.3f} nats more"
        )
    else:
        yield f"entropy: {mean:.3f} nats per token, exact as the file gives it"
    hwe, validated = int(traces["hwe"].sum()), int(traces["hwe_validated"].sum())
    yield (
        f"threshold: {measured.theta:.4f} nats ({how.threshold}, percentile {how.percentile:g}, "
        f"windows of {how.window})"
    )
    yield (
        f"HWE tokens: {hwe:,} ({hwe / tokens:.1%}), {hwe / len(traces):.1f} per trace; "
        f"{validated:,} of them are reasoning triggers"
    )
    if not (measured.words["category"] != "").any():
        yield "no token is in the lexicon: are the tokens words of its language?"


def _figures(
    traces: pd.DataFrame, measured: Measured, how: Definition, folder: Path
) -> Iterator[str]:
    """Draw what can be drawn; say what can't."""
    if (measured.words["high"] > 0).any():
        draw_words(measured.words, how.percentile, folder)
        yield f"words of high entropy: {folder / 'wordcloud.png'}"
    else:
        yield "no word cloud: no token of high entropy has a letter"
    missing = [
        name
        for name, known in (
            ("correct", traces["correct"].notna()),
            ("difficulty", traces["difficulty"] != ""),
        )
        if not known.any()
    ]
    if missing:
        yield f"no figure of difficulty: the file does not say {' and '.join(missing)}"
        return
    draw_difficulty(traces, folder)
    yield f"entropy and difficulty (Fig. 4b): {folder / 'difficulty.png'}"
