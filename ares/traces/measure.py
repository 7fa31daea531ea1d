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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from ares.errors import UserError
from ares.io import atomic_path
from ares.method.lexicon import normalize_token
from ares.method.thresholds import rollout_quantiles
from ares.method.windows import hwe_mask, window_entropy
from ares.traces.quantile import exact_quantile
from ares.traces.spool import Piece, PieceWriter, Spool
from ares.versions import numbered

#: Columns of the table of traces, in their order.
TRACE_COLUMNS = (
    *("trace", "id", "problem", "benchmark", "difficulty", "correct", "finish", "n_tokens"),
    *("entropy", "hwe", "hwe_validated", "max_window", "top_k", "unlisted"),
)
#: Entropies hardly ever repeat: a dictionary of them would take half the time.
TOKENS_KEPT = {
    "compression": "zstd",
    "use_dictionary": ["trace", "position", "token", "lexicon"],
}
THRESHOLDS = ("batch", "main-text", "app-h", "released")


@dataclass(frozen=True)
class Definition:
    """What counts as a high-window-entropy (HWE) token.

    window: tokens. percentile: 0 to 100. threshold: one of `THRESHOLDS`.
    """

    window: int = 4
    percentile: float = 95.0
    threshold: str = "batch"

    @property
    def start(self) -> str:
        """Where a window starts, as `ares.method.windows` calls it."""
        return "after" if self.threshold == "released" else "at"

    def windows(self, piece: Piece) -> np.ndarray:
        """Window entropy of every token of a piece, nats, NaN where incomplete."""
        return piece.windows(self.window, self.start)

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
    if how.threshold in ("batch", "app-h"):
        return exact_quantile(
            lambda: token_entropies(spool) if how.threshold == "app-h" else _windows(spool, how), q
        )
    quantiles = array("d")
    for piece in spool.pieces(["position", "entropy"], progress="threshold"):
        for entropy_1T in piece.rows():
            values_1T, mask_1T = entropy_1T, torch.ones_like(entropy_1T, dtype=torch.bool)
            if how.threshold == "released":
                values_1T = window_entropy(
                    entropy_1T, mask_1T, how.window, how.start, incomplete="running_mean"
                )
            quantiles.append(float(rollout_quantiles(values_1T, mask_1T, q)))
    if not quantiles:
        raise UserError("no value to rank: no trace has a token")
    return float(np.median(quantiles) if how.threshold == "released" else np.mean(quantiles))


def token_entropies(spool: Spool) -> Iterator[np.ndarray]:
    """The entropies of all tokens, in chunks."""
    for piece in spool.pieces(["entropy"], progress="percentile"):
        yield piece.column("entropy")


def _windows(spool: Spool, how: Definition) -> Iterator[np.ndarray]:
    """All complete windows, in chunks."""
    for piece in spool.pieces(["position", "entropy"], progress="threshold"):
        window = how.windows(piece)
        yield window[~np.isnan(window)]


def measure(spool: Spool, how: Definition, folder: Path) -> Measured:
    """Mark the HWE tokens, count them, and write the tables of tokens and traces.

    Args:
        spool: closed.
        folder: receives tokens.parquet (trace, position, token, entropy, unlisted, window, hwe,
            lexicon), traces.parquet and traces.csv (`TRACE_COLUMNS`).

    Raises:
        UserError: no trace is as long as the window.
    """
    theta = threshold(spool, how)
    token_theta = exact_quantile(lambda: token_entropies(spool), how.percentile / 100)
    words = Words(spool.lexicon.category_of)
    with (
        atomic_path(folder / "tokens.parquet") as tokens_out,
        atomic_path(folder / "traces.parquet") as traces_out,
        atomic_path(folder / "traces.csv") as csv_out,
        PieceWriter(tokens_out, **TOKENS_KEPT) as tokens,
        PieceWriter(traces_out, compression="zstd", compression_level=9) as traces,
        csv_out.open("w", encoding="utf-8", newline="") as csv,
    ):
        for piece, facts in zip(spool.pieces(progress="marking"), spool.facts(), strict=True):
            entropy, window = piece.column("entropy"), how.windows(piece)
            hwe = how.selected(entropy, window, theta)
            table = piece.table.add_column(5, "window", pa.array(window))
            tokens.write(numbered(table.add_column(6, "hwe", pa.array(hwe))))
            rows = of_traces(piece, facts, traces.rows, window, hwe)
            rows.to_csv(
                csv, index=False, header=not traces.rows, float_format="%.6g", lineterminator="\n"
            )
            traces.write(numbered(pa.Table.from_pandas(rows, preserve_index=False)))
            words.add(piece, hwe, entropy >= token_theta)
    return Measured(theta, token_theta, words.table())


def of_traces(
    piece: Piece, facts: pa.Table, first: int, window: np.ndarray, hwe: np.ndarray
) -> pd.DataFrame:
    """One row per trace of a piece: `TRACE_COLUMNS`.

    Args:
        first: number of the piece's first trace.
    """
    starts, traces = piece.starts, len(facts)
    place = piece.column("trace")[starts] - first  # traces without a token have no place

    def summed(values: np.ndarray) -> np.ndarray:
        sums = np.zeros(traces, values.dtype)
        sums[place] = np.add.reduceat(values, starts)
        return sums

    tokens = summed(np.ones(len(hwe), np.int64))
    highest = np.full(traces, np.nan, np.float32)
    highest[place] = np.fmax.reduceat(window, starts)
    rows = facts.to_pandas().astype({"correct": "boolean", "top_k": "Int64"})
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, the mean of no token
        return rows.assign(
            trace=np.arange(first, first + traces),
            n_tokens=tokens,
            entropy=summed(piece.column("entropy").astype(np.float64)) / tokens,
            hwe=summed(hwe.astype(np.int64)),
            hwe_validated=summed((hwe & piece.triggers).astype(np.int64)),
            max_window=highest,
            unlisted=summed(piece.column("unlisted").astype(np.float64)) / tokens,
        )[list(TRACE_COLUMNS)]


class Words:
    """Counts per word; spellings that `normalize_token` makes alike are one word."""

    def __init__(self, category: Mapping[str, str]) -> None:
        self.category = category
        # A row per spelling: a vocabulary is small against the tokens.
        self._sums = pd.DataFrame(columns=["count", "high", "hwe", "entropy"], dtype=float)

    def add(self, piece: Piece, hwe: np.ndarray, high: np.ndarray) -> None:
        """Count the tokens of a piece."""
        entropy = piece.column("entropy").astype(float)
        counted = pd.DataFrame({"count": 1.0, "high": high, "hwe": hwe, "entropy": entropy})
        sums = counted.groupby(piece.table["token"].to_pandas(), observed=True).sum()
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
