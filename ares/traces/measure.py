"""Window entropy, thresholds and HWE tokens of a spool of traces.

`ares.method.thresholds` has the definitions of a threshold; `batch` is ours. The tokens selected
are those with W_t >= theta; with `main-text` W_t > theta, with `app-h` H_t >= theta. An HWE token
is validated where it is in the lexicon as well, which App. H and the release ask for. W_t is
mean(H_t .. H_{t+w-1}) (eq. 4); in `released` it starts after t. `released` differs from the release
in three points: one file is one batch (no EMA), the tail is in the threshold as in the windows, and
the lexicon is asked about the sampled token, not the most probable one.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ares.analysis.tables import Tokens
from ares.errors import UserError
from ares.io import atomic_path, numbered
from ares.method.lexicon import Lexicon, normalize_token
from ares.method.thresholds import rollout_quantiles
from ares.method.windows import hwe_mask, window_entropy
from ares.tables import columns_of, form_of
from ares.traces import Threshold
from ares.traces.spool import FACTS, TYPES, Spool, flat, tokens_of

#: Upper, or lower, halves of the 32 bits of a number.
_BINS = 2**16


@dataclass(frozen=True)
class Definition:
    """What counts as a high-window-entropy (HWE) token.

    window: tokens. percentile: 0 to 100. threshold: see above.
    """

    window: int = 4
    percentile: float = 95.0
    threshold: Threshold = "batch"

    def windows(self, tokens: Tokens) -> np.ndarray:
        """Window entropy of every token, nats, NaN where incomplete."""
        return tokens.windows(self.window, "after" if self.threshold == "released" else "at")

    def selected(self, entropy: np.ndarray, window: np.ndarray, theta: float) -> np.ndarray:
        """Which tokens are HWE tokens."""
        values_1N = torch.tensor(entropy if self.threshold == "app-h" else window)[None]
        return hwe_mask(values_1N, theta, strict=self.threshold == "main-text")[0].numpy()


def threshold(spool: Spool, how: Definition) -> float:
    """The threshold over all traces, in nats; exact, whatever the size of the file.

    Raises:
        UserError: no trace is as long as the window.
    """
    q = how.percentile / 100
    if how.threshold == "app-h":
        return token_threshold(spool, q)
    if how.threshold == "batch":
        return exact_quantile(lambda: map(how.windows, spool.entropies("threshold")), q)
    quantiles = array("d")
    for tokens in spool.entropies("threshold"):
        for values_1T in tokens.rows():
            mask_1T = torch.ones_like(values_1T, dtype=torch.bool)
            if how.threshold == "released":
                values_1T = window_entropy(values_1T, mask_1T, how.window, "after", "running_mean")
            quantiles.append(float(rollout_quantiles(values_1T, mask_1T, q)))
    if not quantiles:
        raise UserError("no value to rank: no trace has a token")
    return float(np.median(quantiles) if how.threshold == "released" else np.mean(quantiles))


def token_threshold(spool: Spool, q: float) -> float:
    """The q-quantile of the entropies of all tokens, in nats."""
    return exact_quantile(lambda: (t.entropy_N for t in spool.entropies("percentile")), q)


def exact_quantile(sweep: Callable[[], Iterable[np.ndarray]], q: float) -> float:
    """The q-quantile with linear interpolation, as `ares.method.thresholds.batch_quantile`.

    Numbers of float32 that are not negative have the order of their bits. The first sweep counts
    their upper halves, which finds the two numbers around the quantile up to the lower half; the
    second counts the lower halves there. Memory: three tables of 65,536 counts.

    Args:
        sweep: gives the numbers in chunks, float32, 0 or more; NaN takes no part. Called twice,
            and must give the same both times.
        q: fraction in [0, 1].

    Raises:
        UserError: there are no numbers.

    >>> exact_quantile(lambda: [np.array([1, 2], "f4"), np.array([5], "f4")], 0.75)
    3.5
    """
    upper = np.zeros(_BINS, np.int64)
    for chunk in sweep():
        upper += np.bincount(_bits(chunk) >> 16, minlength=_BINS)
    ends = np.cumsum(upper)
    if not ends[-1]:
        raise UserError("no value to rank: no trace is as long as the window")
    position = (ends[-1] - 1) * q
    ranks = np.array([math.floor(position), math.ceil(position)])
    halves = np.searchsorted(ends, ranks, side="right")
    lower = np.zeros((2, _BINS), np.int64)
    for chunk in sweep():
        bits = _bits(chunk)
        for counts, half in zip(lower, halves, strict=True):
            counts += np.bincount(bits[bits >> 16 == half] & 0xFFFF, minlength=_BINS)
    within = ranks - (ends - upper)[halves]  # ranks among the numbers of that upper half
    around = [
        half << 16 | np.searchsorted(np.cumsum(counts), rank, side="right")
        for half, counts, rank in zip(halves, lower, within, strict=True)
    ]
    low, high = np.array(around, np.uint32).view("f4").tolist()
    return float(low + (high - low) * (position - ranks[0]))


def _bits(chunk: np.ndarray) -> np.ndarray:
    # Adding 0 turns -0.0 into 0.0, whose bits are in order.
    return (chunk[~np.isnan(chunk)].astype(np.float32) + np.float32(0)).view(np.uint32)


def measure(
    spool: Spool, how: Definition, lexicon: Lexicon, folder: Path
) -> tuple[float, pd.DataFrame]:
    """Mark the HWE tokens, count them, and write the tables of tokens and traces.

    Args:
        spool: closed.
        lexicon: says which tokens are reasoning triggers.
        folder: receives tokens.parquet, traces.parquet and traces.csv, see `ares.tables`.

    Returns:
        The threshold of HWE tokens, in nats, and the table of words, see `word_table`.

    Raises:
        UserError: no trace is as long as the window.
    """
    theta = threshold(spool, how)
    high = token_threshold(spool, how.percentile / 100)
    # A row per spelling: a vocabulary is small against the tokens.
    words = pd.DataFrame(columns=["count", "high", "hwe", "entropy"], dtype=float)
    first = 0
    # Entropies hardly ever repeat: a dictionary of them would take half the time.
    small = {**TYPES, "text": pa.dictionary(pa.int32(), pa.string())}
    small |= {"integer": pa.int32(), "number": pa.float32()}
    repeating = ["rollout_id", "position", "token", "category"]
    with (
        _writer(folder / "tokens.parquet", small, use_dictionary=repeating) as write_tokens,
        _writer(folder / "traces.parquet", TYPES, compression_level=9) as write_traces,
        atomic_path(folder / "traces.csv") as csv_out,
        csv_out.open("w", encoding="utf-8", newline="") as csv,
    ):
        for piece in spool.pieces([*FACTS, "tokens", "entropy", "unlisted"], "marking"):
            tokens, traces = _tables(piece, first, how, theta, lexicon)
            write_tokens(tokens)
            write_traces(traces)
            traces.to_csv(
                csv, index=False, header=not first, float_format="%.6g", lineterminator="\n"
            )
            words = words.add(_counts(tokens, high), fill_value=0.0)
            first += len(piece)
    return theta, word_table(words, lexicon)


@contextmanager
def _writer(
    path: Path, types: Mapping[str, pa.DataType], **options: Any
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write the table of traces that is named as the file, piece by piece, a row group each.

    Args:
        types: of the kinds of columns.
    """
    columns = form_of(path.stem, "traces").columns
    schema = pa.schema({name: types[column.kind] for name, column in columns.items()})
    schema = numbered(schema.empty_table()).schema
    with (
        atomic_path(path) as out,
        pq.ParquetWriter(out, schema, compression="zstd", **options) as writer,
    ):
        yield lambda rows: writer.write_table(
            pa.Table.from_pandas(rows, schema, preserve_index=False),
            row_group_size=max(1, len(rows)),
        )


def _tables(
    piece: pa.Table, first: int, how: Definition, theta: float, lexicon: Lexicon
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a piece in both tables.

    Args:
        first: number of the piece's first trace.
    """
    tokens, number_R = tokens_of(piece), np.arange(first, first + len(piece))
    window_N = how.windows(tokens)
    # As categories, so that every spelling is looked up once.
    word = flat(piece, "tokens").dictionary_encode().to_pandas()
    category = word.map(lambda spelling: lexicon.category_of.get(normalize_token(spelling), ""))
    table = pd.DataFrame(
        {
            "rollout_id": np.repeat(number_R, tokens.length_R),
            "position": tokens.position_N,
            "token": word,
            "entropy": tokens.entropy_N,
            "lexicon": (category != "").astype(bool),
            "category": category,
            "unlisted": flat(piece, "unlisted").to_numpy(),
            "window": window_N,
            "hwe": how.selected(tokens.entropy_N, window_N, theta),
        }
    )

    def total(values: pd.Series, dtype: type) -> np.ndarray:
        return tokens.reduced(values.to_numpy(dtype))

    facts = piece.select(FACTS).to_pandas().astype({"correct": "boolean", "top_k": "Int64"})
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, the mean of no token
        rows = facts.assign(
            rollout_id=number_R,
            n_tokens=tokens.length_R,
            entropy=total(table["entropy"], float) / tokens.length_R,
            hwe=total(table["hwe"], int),
            hwe_validated=total(table["hwe"] & table["lexicon"], int),
            max_window=tokens.reduced(window_N, np.fmax, empty=np.nan),
            unlisted=total(table["unlisted"], float) / tokens.length_R,
        )
    return table, rows[columns_of("traces", "traces")]


def _counts(tokens: pd.DataFrame, high: float) -> pd.DataFrame:
    """Sums per spelling; high: nats from which on a token's own entropy is high."""
    counted = tokens[["hwe", "entropy"]].astype(float)
    counted = counted.assign(count=1.0, high=tokens["entropy"] >= high)
    sums = counted.groupby(tokens["token"], observed=True).sum()
    return sums.set_axis(sums.index.astype(object))


def word_table(sums: pd.DataFrame, lexicon: Lexicon) -> pd.DataFrame:
    """One row per word with a letter, those most often of high entropy first; spellings that
    `normalize_token` makes alike are one word.

    Columns: word, count, high (tokens whose own entropy reaches the percentile), hwe (HWE
    tokens), entropy (mean, nats), category (of the lexicon, "" for none).
    """
    rows = sums.groupby(sums.index.map(normalize_token)).sum().rename_axis("word").reset_index()
    rows = rows[[any(map(str.isalpha, word)) for word in rows["word"]]]
    rows = rows.sort_values(["high", "hwe", "word"], ascending=[False, False, True])
    return rows.astype({"count": int, "high": int, "hwe": int}).assign(
        entropy=rows["entropy"] / rows["count"],
        category=[lexicon.category_of.get(word, "") for word in rows["word"]],
    )
