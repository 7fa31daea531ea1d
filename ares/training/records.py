"""What a run measures and writes down: one long table, by rollout batch and difficulty bucket.

Docs of every metric: docs/metrics.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor

from ares.method.advantages import group_centred
from ares.method.difficulty import BUCKETS, BucketSums
from ares.method.step import Rollouts, Shaped
from ares.tables import columns_of

_ALL = "all"


class Records:
    """Means of what was added, by (step, metric, bucket); order of arrival is kept.

    `step` counts batches of rollouts from 1. Seconds are kept apart: they differ from run to run,
    and a table without them is the same bytes for the same run.
    """

    def __init__(self) -> None:
        self.step = 0
        self._sums: dict[tuple[int, str, str], list[float]] = {}
        self._seconds: dict[tuple[int, str], float] = {}

    def add(self, metric: str, value: float, bucket: str = _ALL) -> None:
        """Take in one value of the current step; NaN means that there is none and is skipped."""
        if not math.isnan(value):
            entry = self._sums.setdefault((self.step, metric, bucket), [0.0, 0.0])
            entry[0] += float(value)
            entry[1] += 1

    def add_buckets(self, metric: str, sums: BucketSums) -> None:
        """Take in the mean of every bucket that is not empty, and the mean of all."""
        for index, mean in sums.present():
            self.add(metric, mean, BUCKETS[index])
        number = float(sums.sums_3D[0].sum())
        if number:
            self.add(metric, float(sums.sums_3D[1].sum()) / number)

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
        """The table of steps, without the columns arm and seed."""
        rows = [(*key, total / number) for key, (total, number) in self._sums.items()]
        return pd.DataFrame(rows, columns=columns_of("steps")[2:])

    def current(self) -> dict[str, float]:
        """Means of the current step, named `metric` or `metric/bucket`."""
        return {
            metric if bucket == _ALL else f"{metric}/{bucket}": total / number
            for (step, metric, bucket), (total, number) in self._sums.items()
            if step == self.step
        }

    def seconds(self) -> pd.DataFrame:
        """The table of timings, without the columns arm and seed.

        What no clock runs for is missing: reading prompts, the optimizer's own step, checkpoints.
        """
        rows = [(*key, value) for key, value in self._seconds.items()]
        return pd.DataFrame(rows, columns=columns_of("timings")[2:])

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


# --- from the tensors of a whole batch, over processes, to records


def note_drawn(
    records: Records,
    accuracy_B: Tensor,
    length_B: Tensor,
    finished_B: Tensor,
    group_size: int,
    bounds: tuple[float, float],
) -> None:
    """What was drawn first, when dynamic sampling had not chosen yet."""
    records.add("accuracy", float(accuracy_B.mean()))
    records.add("length", float(length_B.mean()))
    records.add("finished", float(finished_B.mean()))
    rate_G = accuracy_B.reshape(-1, group_size).mean(1)
    useful_G = (rate_G > bounds[0]) & (rate_G < bounds[1])
    records.add("groups_dropped", float((~useful_G).sum()))


def note_shaped(records: Records, batch: Rollouts, shaped: Shaped, trigger_BT: Tensor) -> None:
    """Counts, entropies, targets and scores of the batch that is trained on.

    `trigger_BT` marks the sampled tokens that are in the lexicon.
    """
    length_B = batch.mask_BT.sum(1)
    entropy_B = torch.where(batch.mask_BT, batch.entropy_BT, 0.0).sum(1) / length_B.clamp(min=1)
    columns = {
        "length": length_B,
        "hwe": shaped.count_B,
        "entropy": entropy_B,
        "score": shaped.score_B,
        "entropy_reward": shaped.entropy_reward_B,
        "target": shaped.target_B,
        "pass_rate": shaped.pass_rate_B,
        "triggers": trigger_BT.sum(1),
    }
    for metric, values_B in columns.items():
        sums = BucketSums.of(values_B, shaped.bucket_B)
        for index, mean in sums.present():
            records.add(metric, mean, BUCKETS[index])
        if metric not in ("length", "target"):  # the length of all is that of what was drawn
            records.add(metric, float(values_B.double().mean()))
    bucket_BT = shaped.bucket_B[:, None].expand(trigger_BT.shape)
    at_triggers = BucketSums.of(batch.entropy_BT[trigger_BT], bucket_BT[trigger_BT])
    records.add_buckets("trigger_entropy", at_triggers)
    number_D = torch.bincount(shaped.bucket_B, minlength=3).tolist()
    for bucket, number in zip(BUCKETS, number_D, strict=True):
        records.add("rollouts", number, bucket)
    records.add("rollouts", len(length_B))
    records.add("rollouts_kept", float(shaped.keep_B.sum()))
    if math.isfinite(mean_threshold(shaped)):
        records.add("threshold", mean_threshold(shaped))


def note_entropy_reward(records: Records, batch: Rollouts, shaped: Shaped) -> None:
    """How much of the variance within groups the entropy reward has, and which way it points."""
    parts = [
        group_centred(reward_B, batch.group_B)
        for reward_B in (batch.accuracy_B.double(), shaped.entropy_reward_B)
    ]
    for index, bucket in enumerate((*BUCKETS, _ALL)):
        of_B = shaped.bucket_B == index if index < len(BUCKETS) else slice(None)
        accuracy_B, bonus_B = (part[of_B] for part in parts)
        squares = float(accuracy_B.square().sum()), float(bonus_B.square().sum())
        if sum(squares):
            records.add("entropy_reward_share", squares[1] / sum(squares), bucket)
        if all(squares):
            cosine = float(accuracy_B @ bonus_B) / math.sqrt(squares[0] * squares[1])
            records.add("entropy_reward_correlation", cosine, bucket)


def mean_threshold(shaped: Shaped) -> float:
    """Mean threshold of the batch in nats, over groups that have one; inf if none has."""
    threshold_B = torch.as_tensor(shaped.threshold, dtype=torch.float64)
    finite_B = threshold_B[threshold_B.isfinite()]
    return float(finite_B.mean()) if len(finite_B) else math.inf


def note_variance(
    records: Records, score_B: Tensor, kl_B: Tensor, group_B: Tensor, coefficient: float
) -> None:
    """Variance of the centred score with the KL as a loss, and with it in the reward (Prop. 1).

    kl_B: ln policy / reference summed over each response, nats.
    """
    shaped = {"": score_B, "_kl_in_reward": score_B - coefficient * kl_B}
    for where, reward_B in shaped.items():
        centred_B = group_centred(reward_B, group_B)
        records.add(f"advantage_variance{where}", float(centred_B.square().mean()))
