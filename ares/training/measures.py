"""What is measured of a batch of rollouts, from tensors to records; docs/metrics.md explains each.

All inputs are those of the whole batch, over processes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ares.method.advantages import group_centred
from ares.method.difficulty import BUCKETS, BucketSums
from ares.method.kl import ReleasedController, WindowController
from ares.method.step import Method, Rollouts, Shaped
from ares.training.records import Records


def note_shaped(records: Records, batch: Rollouts, shaped: Shaped) -> None:
    """Counts, entropies, targets and scores of the batch that is trained on."""
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
    }
    for metric, values_B in columns.items():
        sums = BucketSums.of(values_B, shaped.bucket_B)
        for index, mean in sums.present():
            records.add(metric, mean, BUCKETS[index])
        if metric not in ("length", "target"):  # the length of all is that of what was drawn
            records.add(metric, float(values_B.double().mean()))
    number_D = torch.bincount(shaped.bucket_B, minlength=3).tolist()
    for bucket, number in zip(BUCKETS, number_D, strict=True):
        records.add("rollouts", number, bucket)
    records.add("rollouts", len(length_B))
    records.add("rollouts_kept", float(shaped.keep_B.sum()))
    if math.isfinite(mean_threshold(shaped)):
        records.add("threshold", mean_threshold(shaped))


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
    for name, reward_B in (
        ("advantage_variance", score_B),
        ("advantage_variance_kl_in_reward", score_B - coefficient * kl_B),
    ):
        records.add(name, float(group_centred(reward_B, group_B).square().mean()))


def note_kappa(records: Records, method: Method) -> None:
    """The KL coefficients of the controller, if there is one."""
    controller = method.controller
    if isinstance(controller, WindowController):
        values = controller.kappa_D
    elif isinstance(controller, ReleasedController):
        values = controller.beta_D
    else:
        return
    for bucket, value in zip(BUCKETS, values, strict=True):
        records.add("kappa", value, bucket)
