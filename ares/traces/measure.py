"""Window entropy, thresholds and HWE tokens of a spool of traces.

The four definitions of a threshold (`ares.method.thresholds`) and the tokens they select:

| name | threshold | HWE token |
|---|---|---|
| `batch` | quantile of all windows of the file (ours, without the EMA) | W_t >= theta |
| `main-text` | mean over traces of their quantiles of token entropy | W_t > theta |
| `app-h` | quantile of all token entropies | H_t >= theta |
| `released` | median over traces of their quantiles of padded windows | W_t >= theta |

An HWE token is validated where it is in the lexicon as well, which App. H and the release ask for.
W_t is mean(H_t .. H_{t+w-1}) (eq. 4); in `released` it starts after t. `released` differs from the
release in three points: one file is one batch (no EMA), the tail is in the threshold as in the
windows, and the lexicon is asked about the sampled token, not the most probable one.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ares.analysis.tables import Tokens
from ares.errors import UserError
from ares.io import atomic_path
from ares.method.lexicon import Lexicon, normalize_token
from ares.method.thresholds import rollout_quantiles
from ares.method.windows import hwe_mask, window_entropy
from ares.traces.quantile import exact_quantile
from ares.traces.spool import FACTS, Spool, flat, tokens_of
from ares.versions import numbered

Threshold = Literal["batch", "main-text", "app-h", "released"]
THRESHOLDS = get_args(Threshold)
_WORD = pa.dictionary(pa.int32(), pa.string())
#: Columns of the two tables, in their order.
TOKENS = pa.schema(
    [
        ("trace", pa.int32()),
        ("position", pa.int32()),
        ("token", _WORD),
        *((name, pa.float32()) for name in ("entropy", "unlisted", "window")),
        ("hwe", pa.bool_()),
        ("lexicon", _WORD),
    ]
)
TRACES = pa.schema(
    [
        ("trace", pa.int64()),
        *[field for field in FACTS if field.name != "top_k"],
        ("n_tokens", pa.int64()),
        ("entropy", pa.float64()),
        ("hwe", pa.int64()),
        ("hwe_validated", pa.int64()),
        ("max_window", pa.float32()),
        ("top_k", pa.int64()),
        ("unlisted", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Definition:
    """What counts as a high-window-entropy (HWE) token.

    window: tokens. percentile: 0 to 100. threshold: one of `THRESHOLDS`.
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


@dataclass
class Measured:
    """What a file of traces comes to.

    theta: threshold of HWE tokens; token_theta: percentile of single tokens' entropy; both nats.
    words: see `Words.table`.
    """

    theta: float
    token_theta: float
    words: pd.DataFrame


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


def measure(spool: Spool, how: Definition, lexicon: Lexicon, folder: Path) -> Measured:
    """Mark the HWE tokens, count them, and write the tables of tokens and traces.

    Args:
        spool: closed.
        lexicon: says which tokens are reasoning triggers.
        folder: receives tokens.parquet (`TOKENS`), traces.parquet and traces.csv (`TRACES`).

    Raises:
        UserError: no trace is as long as the window.
    """
    theta = threshold(spool, how)
    token_theta = token_threshold(spool, how.percentile / 100)
    words = Words(lexicon.category_of)
    first = 0
    with (
        atomic_path(folder / "tokens.parquet") as tokens_out,
        atomic_path(folder / "traces.parquet") as traces_out,
        atomic_path(folder / "traces.csv") as csv_out,
        # Entropies hardly ever repeat: a dictionary of them would take half the time.
        _writer(
            tokens_out, TOKENS, use_dictionary=["trace", "position", "token", "lexicon"]
        ) as tokens,
        _writer(traces_out, TRACES, compression_level=9) as traces,
        csv_out.open("w", encoding="utf-8", newline="") as csv,
    ):
        for piece in spool.pieces([*FACTS.names, "tokens", "entropy", "unlisted"], "marking"):
            table, rows = _tables(piece, first, how, theta, lexicon)
            tokens.write_table(table, row_group_size=max(1, len(table)))
            traces.write_table(
                pa.Table.from_pandas(rows, TRACES, preserve_index=False), row_group_size=len(rows)
            )
            rows.to_csv(
                csv, index=False, header=not first, float_format="%.6g", lineterminator="\n"
            )
            words.add(table, token_theta)
            first += len(piece)
    return Measured(theta, token_theta, words.table())


def _writer(path: Path, schema: pa.Schema, **options: Any) -> pq.ParquetWriter:
    schema = numbered(schema.empty_table()).schema
    return pq.ParquetWriter(path, schema, compression="zstd", **options)


def _tables(
    piece: pa.Table, first: int, how: Definition, theta: float, lexicon: Lexicon
) -> tuple[pa.Table, pd.DataFrame]:
    """The rows of a piece in both tables: `TOKENS` and `TRACES`.

    Args:
        first: number of the piece's first trace.
    """
    tokens, number_R = tokens_of(piece), np.arange(first, first + len(piece))
    words, unlisted = flat(piece, "tokens").dictionary_encode(), flat(piece, "unlisted").to_numpy()
    window = how.windows(tokens)
    hwe = how.selected(tokens.entropy_N, window, theta)
    # Every spelling is looked up once.
    known = [lexicon.category_of.get(normalize_token(w), "") for w in words.dictionary.to_pylist()]
    categories = pa.array(known, pa.string()).dictionary_encode()
    category = categories.indices.take(words.indices)
    trigger = np.array([name != "" for name in known], bool)[words.indices.to_numpy()]
    columns = [
        np.repeat(number_R, tokens.length_R),
        tokens.position_N,
        words,
        tokens.entropy_N,
        unlisted,
        window,
        hwe,
        pa.DictionaryArray.from_arrays(category, categories.dictionary),
    ]
    arrays = [pa.array(c).cast(field.type) for c, field in zip(columns, TOKENS, strict=True)]
    facts = piece.select(FACTS.names).to_pandas().astype({"correct": "boolean", "top_k": "Int64"})
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, the mean of no token
        rows = facts.assign(
            trace=number_R,
            n_tokens=tokens.length_R,
            entropy=tokens.reduced(tokens.entropy_N.astype(np.float64)) / tokens.length_R,
            hwe=tokens.reduced(hwe.astype(np.int64)),
            hwe_validated=tokens.reduced((hwe & trigger).astype(np.int64)),
            max_window=tokens.reduced(window, np.fmax, empty=np.nan),
            unlisted=tokens.reduced(unlisted.astype(np.float64)) / tokens.length_R,
        )
    return pa.Table.from_arrays(arrays, schema=TOKENS), rows[TRACES.names]


class Words:
    """Counts per word; spellings that `normalize_token` makes alike are one word."""

    def __init__(self, category: Mapping[str, str]) -> None:
        self.category = category
        # A row per spelling: a vocabulary is small against the tokens.
        self._sums = pd.DataFrame(columns=["count", "high", "hwe", "entropy"], dtype=float)

    def add(self, tokens: pa.Table, theta: float) -> None:
        """Count some tokens (`TOKENS`); theta: from which on a token's own entropy is high."""
        counted = tokens.select(["token", "hwe", "entropy"]).to_pandas()
        counted = counted.assign(
            count=1.0, high=counted["entropy"] >= theta, entropy=counted["entropy"].astype(float)
        )
        sums = counted.groupby("token", observed=True)[list(self._sums)].sum()
        sums.index = sums.index.astype(object)
        self._sums = self._sums.add(sums, fill_value=0.0)

    def table(self) -> pd.DataFrame:
        """One row per word with a letter, those most often of high entropy first.

        Columns: word, count, high (tokens whose own entropy reaches the percentile), hwe (HWE
        tokens), entropy (mean, nats), category (of the lexicon, "" for none).
        """
        rows = self._sums.groupby(self._sums.index.map(normalize_token)).sum()
        rows = rows.rename_axis("word").reset_index()
        rows = rows[[any(map(str.isalpha, word)) for word in rows["word"]]]
        rows = rows.sort_values(["high", "hwe", "word"], ascending=[False, False, True])
        return rows.astype({"count": int, "high": int, "hwe": int}).assign(
            entropy=rows["entropy"] / rows["count"],
            category=[self.category.get(word, "") for word in rows["word"]],
        )
