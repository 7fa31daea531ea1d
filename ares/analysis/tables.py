"""The tables as the notebooks read them, and what is computed from the entropies of any tokens.

The full tables of a run and the compact ones of the repository are read by the same code: lists
per rollout (token ids, entropies) are never looked at, the token table holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.thresholds import batch_quantile
from ares.method.windows import window_entropy
from ares.paths import resolve
from ares.tables import Maker, read_form


def read(folder: str | Path, name: str, maker: Maker = "world") -> pd.DataFrame:
    """Read one table of a run, by its name without the ending.

    Where problems are of data sets, problem_id becomes SOURCE/ID, which no other source has.

    Raises:
        UserError: the table is missing, damaged, or not of its form (`ares.tables`).
    """
    table = read_form(resolve(folder) / f"{name}.parquet", name, maker=maker)
    if maker == "data" and "problem_id" in table:
        table["problem_id"] = table["source"] + "/" + table["problem_id"]
    return table


def read_tokens(folder: str | Path, maker: Maker = "world") -> pd.DataFrame:
    """Read the token table, with problem_id and what groups problems joined to every token.

    In the small world these are level and presentation, for data sets source.

    Raises:
        UserError: a table is missing or damaged, tokens of a rollout are not in their order, or the
            tokens do not belong to the rollouts.
    """
    rollouts, tokens = read(folder, "rollouts", maker), read(folder, "tokens", maker)
    check_order(tokens)
    counted = tokens.groupby("rollout_id", sort=False).size()
    expected = rollouts.set_index("rollout_id")["n_tokens"].reindex(counted.index)
    if len(counted) != len(rollouts) or not (counted == expected).all():
        raise UserError(f"{folder}: tokens and rollouts are of different runs; make both again")
    named = ["rollout_id", "problem_id", "level", "presentation", "source"]
    inherited = rollouts[[name for name in named if name in rollouts]]
    return tokens.merge(inherited, on="rollout_id", how="left", validate="m:1")


def check_order(tokens: pd.DataFrame) -> None:
    """Refuse a token table whose rollouts do not stand together, each from position 0 on.

    Raises:
        UserError: names the first row that is out of order.
    """
    position, rollout = tokens["position"].to_numpy(), tokens["rollout_id"].to_numpy()
    follows = np.append(False, (position[1:] == position[:-1] + 1) & (rollout[1:] == rollout[:-1]))
    wrong = np.flatnonzero(~((position == 0) | follows))
    if len(wrong):
        raise UserError(
            f"tokens: row {wrong[0]} does not follow the one before; sort by rollout and position"
        )


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of R responses, one after another: what tables of tokens, rollouts and files of
    traces have in common. N is the number of all tokens.

    entropy_N: nats. length_R: tokens of every response; 0 is allowed.
    """

    entropy_N: np.ndarray
    length_R: np.ndarray

    @classmethod
    def of_table(cls, tokens: pd.DataFrame, column: str | np.ndarray = "entropy") -> Tokens:
        """The column (its name or its values) of a table in which positions count from 0."""
        values = tokens[column].to_numpy() if isinstance(column, str) else np.asarray(column)
        starts = np.flatnonzero(tokens["position"].to_numpy() == 0)
        return cls(values, np.diff(starts, append=len(values)))

    @classmethod
    def of_responses(cls, entropies: Sequence[np.ndarray]) -> Tokens:
        """At least one response, an array each."""
        return cls(np.concatenate(entropies), np.array([len(entropy) for entropy in entropies]))

    @property
    def start_R(self) -> np.ndarray:
        """Where every response starts."""
        return np.cumsum(self.length_R) - self.length_R

    @property
    def position_N(self) -> np.ndarray:
        """The position of every token in its response, from 0."""
        return np.arange(len(self.entropy_N)) - np.repeat(self.start_R, self.length_R)

    def rows(self) -> Iterator[Tensor]:
        """The entropies of every response that has a token, (1, T) each."""
        for start, length in zip(self.start_R, self.length_R, strict=True):
            if length:
                yield torch.from_numpy(self.entropy_N[start : start + length].copy())[None]

    def windows(self, window: int, start: str = "at", incomplete: str = "undefined") -> np.ndarray:
        """Window entropy of every token (eq. 4), (N,) nats.

        All responses are one row, with masked tokens between them, so that memory does not depend
        on how lengths differ; the values are those of the responses by themselves, to the last bit.

        Args:
            start, incomplete: see `ares.method.windows.window_entropy`; not "running_mean".
        """
        gap = 1 if incomplete == "undefined" else window
        responses = len(self.length_R)
        place = np.arange(len(self.entropy_N))
        place += gap * np.repeat(np.arange(responses), self.length_R)
        shape = 1, len(self.entropy_N) + gap * responses
        values, mask = np.zeros(shape, self.entropy_N.dtype), np.zeros(shape, bool)
        values[0, place], mask[0, place] = self.entropy_N, True
        values_1M, mask_1M = torch.from_numpy(values), torch.from_numpy(mask)
        return window_entropy(values_1M, mask_1M, window, start, incomplete)[0, place].numpy()

    def reduced(self, values_N: np.ndarray, how: np.ufunc = np.add, empty: float = 0) -> np.ndarray:
        """The values of every response reduced to one, (R,); `empty` where it has no token."""
        found_R = np.full(len(self.length_R), empty, values_N.dtype)
        filled_R = self.length_R > 0
        if filled_R.any():
            found_R[filled_R] = how.reduceat(values_N, self.start_R[filled_R])
        return found_R


def window_threshold(window_N: np.ndarray, quantile: float) -> float:
    """The quantile of all complete windows (App. H, with windows), nats.

    Raises:
        UserError: no window is complete.
    """
    values_1N = torch.from_numpy(window_N)[None]
    return batch_quantile(values_1N, torch.ones_like(values_1N), quantile)


def windows(
    tokens: pd.DataFrame, window: int, column: str = "entropy", incomplete: str = "undefined"
) -> np.ndarray:
    """`Tokens.windows` of a table."""
    return Tokens.of_table(tokens, column).windows(window, incomplete=incomplete)
