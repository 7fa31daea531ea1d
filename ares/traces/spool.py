"""The tokens of all traces on disk, in pieces that fit into memory.

Traces are parsed once, which is most of the work; whatever needs all tokens (a threshold) and then
every token again (the marks) sweeps over this file instead. A piece holds whole traces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ares.method.lexicon import Lexicon, normalize_token
from ares.method.windows import window_entropy
from ares.traces.read import Trace

#: Tokens from which on a piece is written.
PIECE = 2**18
_WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("trace", pa.int32()),
        ("position", pa.int32()),
        ("token", _WORD),
        ("entropy", pa.float32()),
        ("unlisted", pa.float32()),
        ("lexicon", _WORD),
    ]
)


@dataclass(frozen=True, eq=False)
class Piece:
    """The tokens of some whole traces, one after another."""

    table: pa.Table

    def column(self, name: str) -> np.ndarray:
        """A column of numbers."""
        return self.table[name].to_numpy()

    @property
    def triggers(self) -> np.ndarray:
        """Which tokens are in the lexicon."""
        column = self.table["lexicon"].combine_chunks()
        named = np.array([name != "" for name in column.dictionary.to_pylist()])
        return named[column.indices.to_numpy()]

    @property
    def starts(self) -> np.ndarray:
        """Index of the first token of every trace."""
        return np.flatnonzero(self.column("position") == 0)

    def rows(self) -> Iterator[Tensor]:
        """The entropies of every trace, (1, T) each."""
        ends = [*self.starts[1:], len(self.table)]
        entropy = torch.from_numpy(self.column("entropy").copy())
        for start, end in zip(self.starts, ends, strict=True):
            yield entropy[None, start:end]

    def windows(self, window: int, start: str) -> np.ndarray:
        """Window entropy of every token, nats, NaN where the window is not complete (eq. 4).

        All traces are one row, with a masked token between them: a window over that gap is
        incomplete, so the values are those of the traces by themselves, to the last bit.
        """
        entropy = self.column("entropy")
        place = np.arange(len(entropy)) + np.cumsum(self.column("position") == 0) - 1
        values = torch.zeros(1, place[-1] + 1)
        mask = torch.zeros(1, place[-1] + 1, dtype=torch.bool)
        values[0, place], mask[0, place] = torch.from_numpy(entropy.copy()), True
        return window_entropy(values, mask, window, start)[0, place].numpy()


class Spool:
    """Writes traces to a Parquet file, and gives them back in pieces as often as wanted."""

    def __init__(self, path: Path, lexicon: Lexicon) -> None:
        """Start an empty file; `lexicon` says which tokens are triggers."""
        self.path, self.lexicon, self.traces, self.tokens = path, lexicon, 0, 0
        self._category: dict[str, str] = {}
        # Without their alternatives, which would be most of the memory.
        self._waiting: list[tuple[int, list[str], np.ndarray, np.ndarray]] = []
        self._size = 0
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="lz4")

    def add(self, trace: Trace) -> None:
        """Take in the next trace."""
        self._waiting.append((self.traces, trace.tokens, trace.entropy, trace.unlisted))
        self.traces += 1
        self._size += len(trace.tokens)
        if self._size >= PIECE:
            self._write()

    def close(self) -> None:
        """Write what is left; after this the spool is read only."""
        if self._size:
            self._write()
        self._writer.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pieces(self, columns: list[str] | None = None) -> Iterator[Piece]:
        """All tokens in order, piece by piece; `columns` names those that are wanted."""
        with pq.ParquetFile(self.path, read_dictionary=["token", "lexicon"]) as file:
            for group in range(file.num_row_groups):
                yield Piece(file.read_row_group(group, columns=columns))

    def _write(self) -> None:
        numbers, texts, entropies, unlisted = zip(*self._waiting, strict=True)
        lengths = [len(tokens) for tokens in texts]
        tokens = [token for part in texts for token in part]
        columns = [
            np.repeat(np.array(numbers, np.int32), lengths),
            np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
            pa.array(tokens, pa.string()).dictionary_encode(),
            np.concatenate(entropies),
            np.concatenate(unlisted),
            pa.array(map(self._category_of, tokens), pa.string()).dictionary_encode(),
        ]
        table = pa.Table.from_arrays(list(map(pa.array, columns)), schema=SCHEMA)
        self._writer.write_table(table, row_group_size=len(table))
        self.tokens += len(table)
        self._waiting, self._size = [], 0

    def _category_of(self, token: str) -> str:
        # A vocabulary is small against the tokens: every spelling is looked up once.
        found = self._category.get(token)
        if found is None:
            found = self.lexicon.category_of.get(normalize_token(token), "")
            self._category[token] = found
        return found
