"""All traces on disk, in pieces that fit into memory.

Traces are parsed once, which is most of the work; whatever needs all tokens (a threshold) and then
every token again (the marks) sweeps over this file instead. A row is a trace, with its tokens in
lists; a piece is some whole traces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from ares.analysis.tables import Tokens
from ares.tables import form_of
from ares.traces.read import Trace

#: Tokens and traces, added up, from which on a piece is written.
PIECE = 2**18
#: Types of columns by the kinds of `ares.tables`.
TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}
#: What is said of a trace as a whole.
FACTS = ["id", "problem", "benchmark", "difficulty", "correct", "finish", "top_k"]
#: "page" is what only the page needs, see `ares.traces.page.packed`.
_ROW = pa.schema(
    [
        *((name, TYPES[form_of("traces", "traces").columns[name].kind]) for name in FACTS),
        ("tokens", pa.list_(pa.string())),
        *((name, pa.list_(pa.float32())) for name in ("entropy", "unlisted")),
        ("page", pa.string()),
    ]
)


class Spool:
    """Writes traces to a Parquet file, and gives them back in pieces as often as wanted."""

    def __init__(self, path: Path) -> None:
        """Start an empty file."""
        self.path, self.traces = path, 0
        self._writer = pq.ParquetWriter(path, _ROW, compression="lz4")
        # Without the alternatives of its tokens, which would be most of the memory.
        self._waiting: list[dict[str, Any]] = []
        self._size = 0

    def add(self, trace: Trace, page: str) -> None:
        """Take in the next trace."""
        facts = {name: getattr(trace, name) for name in _ROW.names[:-1]}
        self._waiting.append({**facts, "page": page})
        self.traces += 1
        self._size += len(trace.tokens) + 1
        if self._size >= PIECE:
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Write what is left; after this the spool is read only."""
        with self._writer:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        table = pa.Table.from_pylist(self._waiting, schema=_ROW)
        self._writer.write_table(table, row_group_size=len(table))
        self._waiting, self._size = [], 0

    def pieces(self, columns: Sequence[str], progress: str) -> Iterator[pa.Table]:
        """Some columns of all traces in order, piece by piece; a bar shows the progress."""
        bar = tqdm(desc=progress, total=self.traces, unit="trace", unit_scale=True, leave=False)
        with bar, pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                piece = file.read_row_group(group, columns=list(columns))
                yield piece
                bar.update(len(piece))

    def entropies(self, progress: str) -> Iterator[Tokens]:
        """The entropies of all tokens, piece by piece."""
        return map(tokens_of, self.pieces(["entropy"], progress))

    def rows(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """The traces of these numbers, in the order of the file."""
        found: list[dict[str, Any]] = []
        first = 0
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                last = first + file.metadata.row_group(group).num_rows
                inside = np.sort(numbers[(numbers >= first) & (numbers < last)]) - first
                if len(inside):
                    found += file.read_row_group(group).take(inside).to_pylist()
                first = last
        return found


def flat(piece: pa.Table, column: str) -> pa.Array:
    """The values of all tokens of a piece."""
    return pc.list_flatten(piece[column]).combine_chunks()


def tokens_of(piece: pa.Table) -> Tokens:
    """The entropies of a piece, by traces."""
    lengths = pc.list_value_length(piece["entropy"])
    return Tokens(flat(piece, "entropy").to_numpy(), lengths.to_numpy())
