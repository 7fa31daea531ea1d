"""What a run writes down: one long table of metrics, by rollout batch and difficulty bucket.

Docs of every metric: docs/metrics.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from ares.method.difficulty import BUCKETS, BucketSums

ALL = "all"
COLUMNS = ("step", "metric", "bucket", "value")


class Records:
    """Means of what was added, by (step, metric, bucket); order of arrival is kept.

    `step` counts batches of rollouts from 1. Seconds are kept apart: they differ from run to run,
    and a table without them is the same bytes for the same run.
    """

    def __init__(self) -> None:
        self.step = 0
        self._sums: dict[tuple[int, str, str], list[float]] = {}
        self._seconds: dict[tuple[int, str], float] = {}

    def add(self, metric: str, value: float, bucket: str = ALL) -> None:
        """Take in one value of the current step; NaN means that there is none and is skipped."""
        if not math.isnan(value):
            entry = self._sums.setdefault((self.step, metric, bucket), [0.0, 0.0])
            entry[0] += float(value)
            entry[1] += 1

    def add_buckets(self, metric: str, sums: BucketSums) -> None:
        """Take in the mean of every bucket that is not empty, and the mean of all."""
        for index, mean in sums.present():
            self.add(metric, mean, BUCKETS[index])
        number = float(sums.number_D.sum())
        if number:
            self.add(metric, float(sums.sum_D.sum()) / number)

    @contextmanager
    def clock(self, phase: str) -> Iterator[None]:
        """Add the wall time spent inside to a phase of the current step.

        Clocks may nest; the inner one's time is taken out of the outer one's.
        """
        begin, inside = time.perf_counter(), self._inside
        self._inside = 0.0
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            key = (self.step, phase)
            self._seconds[key] = self._seconds.get(key, 0.0) + spent - self._inside
            self._inside = inside + spent

    _inside = 0.0

    def table(self) -> pd.DataFrame:
        """Columns step, metric, bucket, value."""
        rows = [(*key, total / number) for key, (total, number) in self._sums.items()]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def current(self) -> dict[str, float]:
        """Means of the current step, named `metric` or `metric/bucket`."""
        return {
            metric if bucket == ALL else f"{metric}/{bucket}": total / number
            for (step, metric, bucket), (total, number) in self._sums.items()
            if step == self.step
        }

    def seconds(self) -> pd.DataFrame:
        """Columns step, phase, seconds.

        What no clock runs for is missing: reading prompts, the optimizer's own step, checkpoints.
        """
        rows = [(*key, value) for key, value in self._seconds.items()]
        return pd.DataFrame(rows, columns=["step", "phase", "seconds"])

    def state_dict(self) -> dict:
        """Everything, JSON-ready."""
        return {
            "step": self.step,
            "sums": [[*key, *value] for key, value in self._sums.items()],
            "seconds": [[*key, value] for key, value in self._seconds.items()],
        }

    def load_state_dict(self, state: dict) -> None:
        """Restore what `state_dict` gave."""
        self.step = state["step"]
        self._sums = {(s, m, b): [total, n] for s, m, b, total, n in state["sums"]}
        self._seconds = {(s, p): value for s, p, value in state["seconds"]}
