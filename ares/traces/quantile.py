"""An exact quantile of more numbers than fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from ares.errors import UserError

_BINS = 2**16


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
    low, high = (
        float(
            np.uint32(half << 16 | np.searchsorted(np.cumsum(counts), rank, side="right")).view(
                "f4"
            )
        )
        for half, counts, rank in zip(halves, lower, within, strict=True)
    )
    return float(low + (high - low) * (position - ranks[0]))


def _bits(chunk: np.ndarray) -> np.ndarray:
    # Adding 0 turns -0.0 into 0.0, whose bits are in order.
    return (chunk[~np.isnan(chunk)].astype(np.float32) + np.float32(0)).view(np.uint32)
