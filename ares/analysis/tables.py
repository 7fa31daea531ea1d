"""The tables as the notebooks read them: tokens joined with their problems, and padded to tensors.

The full tables of a run and the compact ones of the repository are read by the same code: lists
per rollout (token ids, entropies) are never looked at, the token table holds them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.windows import window_entropy
from ares.paths import resolve
from ares.tables import read_form

#: What a token inherits from its rollout.
OF_ROLLOUT = ("rollout_id", "problem_id", "level", "presentation")


def read(folder: str | Path, name: str) -> pd.DataFrame:
    """Read one table of a run, by its name without the ending.

    Raises:
        UserError: the table is missing, damaged, or not of its form (`ares.forms`).
    """
    return read_form(resolve(folder) / f"{name}.parquet", name)


def read_tokens(folder: str | Path) -> pd.DataFrame:
    """Read the token table, with `OF_ROLLOUT` joined to every token.

    Raises:
        UserError: a table is missing or damaged, or the tokens do not belong to the rollouts.
    """
    rollouts, tokens = read(folder, "rollouts"), read(folder, "tokens")
    check_order(tokens)
    counted = tokens.groupby("rollout_id", sort=False).size()
    expected = rollouts.set_index("rollout_id")["n_tokens"].reindex(counted.index)
    if len(counted) != len(rollouts) or not (counted == expected).all():
        raise UserError(f"{folder}: tokens and rollouts are of different runs; make both again")
    return tokens.merge(rollouts[list(OF_ROLLOUT)], on="rollout_id", how="left", validate="m:1")


def check_order(tokens: pd.DataFrame) -> None:
    """Refuse a token table whose rollouts do not stand together, each from position 0 on.

    Raises:
        UserError: names the first row that is out of order.
    """
    position, rollout = tokens["position"].to_numpy(), tokens["rollout_id"].to_numpy()
    starts = position == 0
    follows = np.append(False, (position[1:] == position[:-1] + 1) & (rollout[1:] == rollout[:-1]))
    wrong = np.flatnonzero(~(starts | follows))
    if len(wrong):
        raise UserError(
            f"tokens: row {wrong[0]} does not follow the one before; sort by rollout and position"
        )


def pad(tokens: pd.DataFrame, column: str | np.ndarray) -> tuple[Tensor, Tensor]:
    """One column (its name or its values) as a padded tensor.

    Returns:
        values_BT, with 0 where a rollout has ended, and mask_BT. `values_BT[mask_BT]` is the
        column again, in the order of the table.
    """
    values = tokens[column].to_numpy() if isinstance(column, str) else np.asarray(column)
    position = tokens["position"].to_numpy()
    row = np.cumsum(position == 0) - 1
    shape = (int(row[-1]) + 1, int(position.max()) + 1) if len(tokens) else (0, 0)
    values_BT, mask_BT = np.zeros(shape, values.dtype), np.zeros(shape, bool)
    values_BT[row, position], mask_BT[row, position] = values, True
    return torch.from_numpy(values_BT), torch.from_numpy(mask_BT)


def windows(
    tokens: pd.DataFrame,
    window: int,
    column: str | np.ndarray = "entropy",
    incomplete: str = "undefined",
) -> np.ndarray:
    """Window entropy of every token (eq. 4), nats, in the order of the table; see
    `ares.method.windows.window_entropy`.
    """
    values_BT, mask_BT = pad(tokens, column)
    return window_entropy(values_BT, mask_BT, window, incomplete=incomplete)[mask_BT].numpy()
