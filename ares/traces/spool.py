"""All traces on disk, in pieces that fit into memory.

Traces are parsed once, which is most of the work; whatever needs all tokens (a threshold) and then
every token again (the marks) sweeps over these files instead. A piece holds whole traces: their
tokens in one file, what is said of each trace (its facts) in another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ares.method.lexicon import Lexicon, normalize_token
from ares.method.windows import window_entropy
from ares.traces.read import Trace

#: Tokens and traces, added up, from which on a piece is written.
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
FACTS = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "problem", "benchmark", "difficulty")),
        ("correct", pa.bool_()),
        ("finish", pa.string()),
        ("top_k", pa.int64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Piece:
    """The tokens of some whole traces, one after another; none if those traces are empty."""

    table: pa.Table

    def column(self, name: str) -> np.ndarray:
        """A column of numbers."""
        return self.table[name].to_numpy()

    @property
    def triggers(self) -> np.ndarray:
        """Which tokens are in the lexicon."""
        column = self.table["lexicon"].combine_chunks()
        named = np.array([name != "" for name in column.dictionary.to_pylist()], bool)
        return named[column.indices.to_numpy()]

    @property
    def starts(self) -> np.ndarray:
        """Index of the first token of every trace."""
        return np.flatnonzero(self.column("position") == 0)

    def rows(self) -> Iterator[Tensor]:
        """The entropies of every trace, (1, T) each."""
        for entropy in np.split(self.column("entropy").copy(), self.starts)[1:]:
            yield torch.from_numpy(entropy)[None]

    def windows(self, window: int, start: str) -> np.ndarray:
        """Window entropy of every token, nats, NaN where the window is not complete (eq. 4).

        All traces are one row, with a masked token between them: a window over that gap is
        incomplete, so the values are those of the traces by themselves, to the last bit.
        """
        entropy = self.column("entropy")
        if not len(entropy):
            return np.zeros(0, np.float32)
        place = np.arange(len(entropy)) + np.cumsum(self.column("position") == 0) - 1
        values = torch.zeros(1, place[-1] + 1)
        mask = torch.zeros(1, place[-1] + 1, dtype=torch.bool)
        values[0, place], mask[0, place] = torch.from_numpy(entropy.copy()), True
        return window_entropy(values, mask, window, start)[0, place].numpy()


class PieceWriter:
    """A Parquet file that is written piece by piece, a row group each."""

    def __init__(self, path: Path, **options: Any) -> None:
        """Write to `path`; `options` are those of `pq.ParquetWriter`."""
        self.path, self.options, self.rows = path, options, 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Add a piece; the first one says what the columns are."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, **self.options)
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self.rows += len(table)


class Spool:
    """Writes traces to two Parquet files, and gives them back in pieces as often as wanted."""

    def __init__(self, folder: Path, lexicon: Lexicon) -> None:
        """Start empty files in `folder`; `lexicon` says which tokens are triggers."""
        self.lexicon, self.traces = lexicon, 0
        self._tokens, self._said = (
            PieceWriter(folder / f"{name}.parquet", compression="lz4", use_dictionary=dictionary)
            for name, dictionary in (("tokens", ["token", "lexicon"]), ("facts", False))
        )
        # Without their alternatives, which would be most of the memory.
        self._waiting: list[tuple[int, list[str], np.ndarray, np.ndarray]] = []
        self._facts: list[tuple] = []
        self._size = 0

    def add(self, trace: Trace) -> None:
        """Take in the next trace."""
        self._waiting.append((self.traces, trace.tokens, trace.entropy, trace.unlisted))
        self._facts.append(tuple(getattr(trace, name) for name in FACTS.names))
        self.traces += 1
        self._size += len(trace.tokens) + 1
        if self._size >= PIECE:
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Write what is left; after this the spool is read only."""
        with self._tokens, self._said:
            if self._size:
                self._write()

    def pieces(self, columns: list[str] | None = None, progress: str = "") -> Iterator[Piece]:
        """All tokens in order, piece by piece.

        Args:
            columns: those that are wanted; None for all.
            progress: what the progress bar is called; "" for none.
        """
        from tqdm import tqdm

        bar = tqdm(
            desc=progress, total=self._tokens.rows, unit="token", unit_scale=True,
            disable=not progress, leave=False,
        )  # fmt: skip
        with bar, pq.ParquetFile(self._tokens.path, read_dictionary=["token", "lexicon"]) as file:
            for group in range(file.num_row_groups):
                piece = Piece(file.read_row_group(group, columns=columns))
                yield piece
                bar.update(len(piece.table))

    def facts(self) -> Iterator[pa.Table]:
        """What is said of every trace (`FACTS`), in the same pieces."""
        with pq.ParquetFile(self._said.path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def _write(self) -> None:
        numbers, texts, entropies, unlisted = zip(*self._waiting, strict=True)
        lengths = [len(tokens) for tokens in texts]
        tokens = pa.array([token for part in texts for token in part], pa.string())
        words = tokens.dictionary_encode()
        columns = [
            np.repeat(np.array(numbers, np.int32), lengths),
            np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
            words,
            np.concatenate(entropies),
            np.concatenate(unlisted),
            self._categories(words),
        ]
        table = pa.Table.from_arrays(list(map(pa.array, columns)), schema=SCHEMA)
        facts = [pa.array(column) for column in zip(*self._facts, strict=True)]
        facts = [column.cast(field.type) for column, field in zip(facts, FACTS, strict=True)]
        self._tokens.write(table)
        self._said.write(pa.Table.from_arrays(facts, schema=FACTS))
        self._waiting, self._facts, self._size = [], [], 0

    def _categories(self, words: pa.DictionaryArray) -> pa.DictionaryArray:
        """The lexicon's category of every token, "" for none; every spelling is looked up once."""
        category_of = self.lexicon.category_of
        found = [
            category_of.get(normalize_token(word), "") for word in words.dictionary.to_pylist()
        ]
        of_word = pa.array(found, pa.string()).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            of_word.indices.take(words.indices), of_word.dictionary
        )
