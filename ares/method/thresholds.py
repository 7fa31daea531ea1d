"""When a window counts as high: the entropy thresholds of the paper and of the release.

The paper gives three definitions that differ, the release a fourth, and ours is a fifth:

| definition | quantile of | statistic | function |
|---|---|---|---|
| main text | token entropies | per rollout, mean over the batch | `mean_rollout_quantile` |
| App. H | token entropies | over all tokens of the batch | `batch_quantile` |
| Alg. 1 | window entropies | per rollout, mean over the group | `group_quantile` |
| release | padded window entropies | per rollout, median, then EMA | `median_rollout_quantile` |
| ours | window entropies | over all windows of the batch, then EMA | `batch_quantile` |

Deviations and choices:
1. Quantiles interpolate linearly, as numpy's percentile, which the release uses.
2. An undefined window (NaN) takes no part. A rollout with nothing to rank has the quantile NaN and
   takes no part in the mean; the release gives it 0 and counts it, which `empty=0.0` reproduces.
3. An EMA that starts slowly lags behind a falling entropy and selects nothing: with `fast_start`,
   step k weighs 1/k until that falls below 1 - decay, so the value is a plain mean at first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ares.errors import UserError


def rollout_quantiles(
    values_BT: Tensor, mask_BT: Tensor, q: float, empty: float = math.nan
) -> Tensor:
    """The q-quantile of each rollout's values, (B,) float64; `empty` for one without values.

    Values are token or window entropies in nats; NaN takes no part. q is a fraction of 1.

    >>> rollout_quantiles(torch.tensor([[1.0, 2.0, 5.0]]), torch.ones(1, 3), 0.75).tolist()
    [3.5]
    """
    values_BT = values_BT.where(mask_BT.bool(), torch.nan)
    count_B = (~values_BT.isnan()).sum(1)
    if values_BT.shape[1] == 0:
        return torch.full(values_BT.shape[:1], empty, dtype=torch.float64)
    # In ascending order, NaN last; on a CPU numpy sorts some 20 times faster than torch.
    on_cpu = values_BT.device.type == "cpu"
    sorted_BT = np.sort(values_BT.detach(), axis=1) if on_cpu else values_BT.sort(1).values
    ranked_BT = torch.as_tensor(sorted_BT)
    position_B = (count_B.clamp(min=1) - 1).double() * q
    low_B = position_B.floor()
    pair_B2 = torch.stack([low_B, position_B.ceil()], dim=1).long()
    low_value_B, high_value_B = ranked_BT.gather(1, pair_B2).double().unbind(1)
    quantile_B = low_value_B + (high_value_B - low_value_B) * (position_B - low_B)
    return quantile_B.where(count_B > 0, empty)


def batch_quantile(values_BT: Tensor, mask_BT: Tensor, q: float) -> float:
    """The q-quantile over all values of the batch, in nats (App. H).

    Over several processes: gather the values first, a quantile can't be reduced from sums.

    Raises:
        UserError: there is no value.
    """
    return mean_rollout_quantile(values_BT.reshape(1, -1), mask_BT.reshape(1, -1), q)


def mean_rollout_quantile(values_BT: Tensor, mask_BT: Tensor, q: float) -> float:
    """Mean of the rollouts' q-quantiles, in nats (main text, with token entropies).

    Raises:
        UserError: there is no value.
    """
    mean = float(rollout_quantiles(values_BT, mask_BT, q).nanmean())
    if math.isnan(mean):
        raise UserError("no value to rank: every rollout is shorter than the window or masked out")
    return mean


def median_rollout_quantile(values_BT: Tensor, mask_BT: Tensor, q: float) -> float:
    """Median of the rollouts' q-quantiles, in nats; an empty rollout counts as 0 (release)."""
    quantile_B = rollout_quantiles(values_BT, mask_BT, q, empty=0.0)
    return batch_quantile(quantile_B[None], torch.ones_like(quantile_B[None]), 0.5)


def group_quantile(values_BT: Tensor, mask_BT: Tensor, q: float, group_B: Tensor) -> Tensor:
    """Mean over its group of the per-rollout q-quantiles, for every rollout: (B,) in nats (Alg. 1).

    A group without any value gets +inf: none of its tokens is an HWE token.
    """
    quantile_B = rollout_quantiles(values_BT, mask_BT, q)
    known_B = ~quantile_B.isnan()
    groups = int(group_B.max()) + 1 if len(group_B) else 0
    total_G = torch.zeros(groups, dtype=torch.float64, device=quantile_B.device)
    number_G = torch.zeros_like(total_G)
    total_G.index_add_(0, group_B, quantile_B.where(known_B, 0.0))
    number_G.index_add_(0, group_B, known_B.double())
    return (total_G / number_G).where(number_G > 0, torch.inf)[group_B]


@dataclass
class ThresholdEMA:
    """An exponential moving average of the batch threshold, in nats."""

    decay: float  #: weight of the old value (release: 0.99)
    fast_start: bool = False  #: weigh the first steps equally (deviation 3)
    value: float = -1.0  #: -1 until the first update, so everything counts (release)
    steps: int = 0  #: updates so far

    def update(self, batch_threshold: float) -> float:
        """Take in the threshold of a batch and return the new value; the first is kept as it is."""
        self.steps += 1
        weight = 1.0 - self.decay
        if self.steps == 1 or self.fast_start:
            weight = max(weight, 1.0 / self.steps)
        self.value = (1.0 - weight) * self.value + weight * batch_threshold
        return self.value
