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
    second counts the lower halves there. Memory: two tables of 65,536 counts.

    Args:
        sweep: gives the numbers in chunks, float32, 0 or more, no NaN; called twice, and must give
            the same both times.
        q: fraction in [0, 1].

    Raises:
        UserError: there are no numbers.

    >>> exact_quantile(lambda: [np.array([1, 2], "f4"), np.array([5], "f4")], 0.75)
    3.5
    """
    upper = np.zeros(_BINS, np.int64)
    for chunk in sweep():
        upper += np.bincount(_bits(chunk) >> 16, minlength=_BINS)
    count = int(upper.sum())
    if not count:
        raise UserError("no value to rank: no trace is as long as the window")
    position = (count - 1) * q
    ranks = [math.floor(position), math.ceil(position)]
    ends = np.cumsum(upper)
    bins = [int(np.searchsorted(ends, rank, side="right")) for rank in ranks]
    lower = {chosen: np.zeros(_BINS, np.int64) for chosen in bins}
    for chunk in sweep():
        bits = _bits(chunk)
        for chosen, counts in lower.items():
            counts += np.bincount(bits[bits >> 16 == chosen] & 0xFFFF, minlength=_BINS)
    low, high = (
        _number(chosen, lower[chosen], rank - int(ends[chosen] - upper[chosen]))
        for chosen, rank in zip(bins, ranks, strict=True)
    )
    return low + (high - low) * (position - ranks[0])


def _bits(chunk: np.ndarray) -> np.ndarray:
    # Adding 0 turns -0.0 into 0.0, whose bits are in order.
    return (np.ascontiguousarray(chunk, np.float32) + np.float32(0)).view(np.uint32)


def _number(upper: int, lower: np.ndarray, rank: int) -> float:
    """The number of this rank among those with the given upper half."""
    half = int(np.searchsorted(np.cumsum(lower), rank, side="right"))
    return float(np.array([upper << 16 | half], np.uint32).view(np.float32)[0])
