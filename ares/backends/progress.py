"""How far a run is: one line on the terminal around any backend's `generate`."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator

from tqdm import tqdm

from ares.backends.base import Failure, Request, Response

#: Seconds over which the speed is told, so that answers from a store don't flatter it for long.
WINDOW_S = 30.0


def watched(
    results: Iterator[tuple[Request, Response | Failure]], total: int | None, label: str
) -> Iterator[tuple[Request, Response | Failure]]:
    """The results as they are, with a bar: requests done, tokens per second, failures.

    Silent where stderr is no terminal.

    Args:
        total: number of requests, None if unknown.
        label: what the bar is called; "" for no bar.
    """
    if not label or not sys.stderr.isatty():
        yield from results
        return
    speed, failed = Speed(), 0
    with tqdm(total=total, desc=label, unit="req", dynamic_ncols=True, mininterval=0.5) as bar:
        for request, outcome in results:
            if isinstance(outcome, Failure):
                failed += 1
            else:
                speed.add(outcome.tokens or 0, time.monotonic())
            told = f"{speed.rate:,.0f} tok/s" + (f", {failed} failed" if failed else "")
            bar.set_postfix_str(told, refresh=False)
            bar.update()
            yield request, outcome


class Speed:
    """Tokens per second over the last half minute.

    >>> speed = Speed()
    >>> speed.add(100, at=0.0); speed.add(100, at=10.0); speed.rate
    10.0
    >>> speed.add(60, at=41.0); round(speed.rate, 3)  # since the last one before the window
    1.935
    """

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, tokens: int, at: float) -> None:
        """Count `tokens` that were done at time `at` (seconds, rising)."""
        self._total += tokens
        # One point a second is enough; the last one is always up to date.
        if len(self._points) > 1 and at - self._points[-2][0] < 1:
            self._points.pop()
        self._points.append((at, self._total))
        while len(self._points) > 2 and at - self._points[1][0] >= WINDOW_S:
            self._points.popleft()

    @property
    def rate(self) -> float:
        """Tokens per second; 0 as long as there is nothing to compare."""
        if len(self._points) < 2:
            return 0.0
        (start, before), (end, now) = self._points[0], self._points[-1]
        return (now - before) / (end - start) if end > start else 0.0
