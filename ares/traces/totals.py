"""One row per trace, written piece by piece, and the sums over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ares.traces.spool import Piece
from ares.versions import numbered

#: Columns of the table of traces, in their order.
COLUMNS = (
    *("trace", "id", "problem", "benchmark", "difficulty", "correct", "finish", "n_tokens"),
    *("entropy", "hwe", "hwe_validated", "max_window", "top_k", "unlisted"),
)


@dataclass
class Sums:
    """Over all traces.

    entropy: nats. estimated: traces whose entropy is a lower bound, from at least `top_k` listed
    alternatives; estimated_tokens and unlisted (probability) are sums over those. correct,
    difficulty, both: traces of which the file says it.
    """

    traces: int = 0
    tokens: int = 0
    entropy: float = 0.0
    hwe: int = 0
    validated: int = 0
    estimated: int = 0
    estimated_tokens: int = 0
    unlisted: float = 0.0
    top_k: int = 0
    correct: int = 0
    difficulty: int = 0
    both: int = 0

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows of the table of traces."""
        tokens = rows["n_tokens"]
        self.traces += len(rows)
        self.tokens += int(tokens.sum())
        self.entropy += float((rows["entropy"] * tokens).sum())
        self.hwe += int(rows["hwe"].sum())
        self.validated += int(rows["hwe_validated"].sum())
        bounds = rows[rows["top_k"].notna() & (tokens > 0)]
        if len(bounds):
            fewest = int(bounds["top_k"].min())
            self.top_k = min(self.top_k, fewest) if self.estimated else fewest
            self.estimated += len(bounds)
            self.estimated_tokens += int(bounds["n_tokens"].sum())
            self.unlisted += float((bounds["unlisted"] * bounds["n_tokens"]).sum())
        judged, graded = rows["correct"].notna(), rows["difficulty"] != ""
        self.correct += int(judged.sum())
        self.difficulty += int(graded.sum())
        self.both += int((judged & graded).sum())


class TraceTable:
    """Writes the table of traces, piece by piece, as Parquet and as CSV."""

    def __init__(self, parquet: Path, csv: Path) -> None:
        """Write to these two files."""
        self.sums = Sums()
        self._parquet = parquet
        self._writer: pq.ParquetWriter | None = None
        self._csv = csv.open("w", encoding="utf-8", newline="")

    def __enter__(self) -> TraceTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._csv.close()
        if self._writer is not None:
            self._writer.close()

    def write(self, piece: Piece, facts: pa.Table, window: np.ndarray, hwe: np.ndarray) -> None:
        """Add the traces of a piece, with what was measured."""
        first = self.sums.traces
        rows = facts.to_pandas().astype({"correct": "boolean", "top_k": "Int64"})
        rows = rows.assign(
            trace=np.arange(first, first + len(rows)),
            **_measured(piece, first, len(rows), window, hwe),
        )[list(COLUMNS)]
        rows.to_csv(
            self._csv, index=False, header=not first, float_format="%.6g", lineterminator="\n"
        )
        table = pa.Table.from_pandas(rows, preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._parquet, numbered(table).schema, compression="zstd", compression_level=9
            )
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self.sums.add(rows)


def _measured(
    piece: Piece, first: int, traces: int, window: np.ndarray, hwe: np.ndarray
) -> dict[str, np.ndarray]:
    """Of every trace of a piece: tokens, HWE tokens, means over tokens, the highest window.

    Args:
        first: number of the piece's first trace.
    """
    starts = piece.starts
    place = piece.column("trace")[starts] - first  # traces without a token have no place
    tokens, marked, validated = np.zeros((3, traces), np.int64)
    entropy, unlisted = np.full((2, traces), np.nan)
    highest = np.full(traces, np.nan, np.float32)
    for total, values in (
        (tokens, np.ones(len(hwe))),
        (marked, hwe),
        (validated, hwe & piece.triggers),
    ):
        total[place] = np.add.reduceat(values.astype(np.int64), starts)
    for mean, name in ((entropy, "entropy"), (unlisted, "unlisted")):
        sums = np.add.reduceat(piece.column(name).astype(np.float64), starts)
        mean[place] = sums / tokens[place]
    highest[place] = np.fmax.reduceat(window, starts)
    return {
        "n_tokens": tokens,
        "entropy": entropy,
        "hwe": marked,
        "hwe_validated": validated,
        "max_window": highest,
        "unlisted": unlisted,
    }
