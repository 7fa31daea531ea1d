"""Inputs of the method: rows padded to one tensor, float dtypes, finite values under a mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ares.errors import UserError


def as_float(values: Tensor) -> Tensor:
    """The values in a dtype that statistics may be taken in: half precisions become float32."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def masked(values_BT: Tensor, mask_BT: Tensor, name: str) -> Tensor:
    """The values as floats, with 0 wherever the mask is False.

    Raises:
        UserError: a value under the mask is NaN or infinite, or the shapes differ.
    """
    if values_BT.shape != mask_BT.shape:
        raise UserError(
            f"{name} of shape {tuple(values_BT.shape)} and mask of shape {tuple(mask_BT.shape)} "
            "differ: give one mask entry per token"
        )
    clean_BT = torch.where(mask_BT.bool(), as_float(values_BT), 0.0)
    if not torch.isfinite(clean_BT).all():
        where = [tuple(index) for index in (~torch.isfinite(clean_BT)).nonzero()[:3].tolist()]
        raise UserError(
            f"{name}: NaN or infinite at {where}: mask those tokens out, or repair the sampler's "
            "output"
        )
    return clean_BT


def pad_rows(
    rows: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Rows of unequal length, padded on the right with zeros, and the mask of what was given.

    >>> values_BT, mask_BT = pad_rows([[1.0, 2.0], [], [3.0]])
    >>> values_BT.tolist(), mask_BT.sum(1).tolist()
    ([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]], [2, 0, 1])
    """
    length_B = torch.tensor([len(row) for row in rows], dtype=torch.long)
    mask_BT = torch.arange(max(map(len, rows), default=0)) < length_B[:, None]
    values_BT = torch.zeros(mask_BT.shape, dtype=dtype)
    if len(rows):
        values_BT[mask_BT] = torch.cat([torch.as_tensor(row, dtype=dtype) for row in rows])
    return values_BT, mask_BT
