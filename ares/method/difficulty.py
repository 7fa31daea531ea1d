"""Online difficulty (eq. 10): buckets from group accuracy, targets of the HWE count per bucket.

All statistics are sums and counts per bucket, so that processes can add them up before the state is
updated; every process then holds the same state.

Deviations and choices:
1. Eq. 10 is stated for 8 rollouts (easy 6 to 8, medium 3 to 5, hard 0 to 2). As pass rates: easy
   from 3/4, medium from 3/8. The release says 2/3 and 1/3.
2. The release averages group means, which equals the mean over rollouts when groups have one size.
3. `EmaTargets` gives a step the average of EARLIER steps: a target that is the mean of its own
   batch makes the multiplier of the main text identically 0.
4. The release also computes a dual-ascent multiplier, which never reaches its loss. It is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

BUCKETS = ("easy", "medium", "hard")
EASY, MEDIUM, HARD = range(3)


def group_means(values_B: Tensor, group_B: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and size of each group: two (G,) float64 tensors, numbered as in `group_B`."""
    groups = int(group_B.max()) + 1 if len(group_B) else 0
    total_G = torch.zeros(groups, dtype=torch.float64, device=values_B.device)
    total_G.index_add_(0, group_B, values_B.double())
    size_G = torch.bincount(group_B, minlength=groups).double()
    return total_G / size_G, size_G


def buckets(pass_rate: Tensor, easy_from: float = 3 / 4, medium_from: float = 3 / 8) -> Tensor:
    """Bucket codes 0 easy, 1 medium, 2 hard of pass rates in [0, 1] (eq. 10).

    >>> buckets(torch.tensor([6, 5, 3, 2]) / 8).tolist()
    [0, 1, 1, 2]
    """
    easy_or_not = torch.where(pass_rate >= medium_from, MEDIUM, HARD)
    return torch.where(pass_rate >= easy_from, EASY, easy_or_not)


@dataclass(frozen=True)
class BucketSums:
    """Number, sum x and sum x^2 (rows) per bucket, (3, 3) float64; sums of parts add up.

    Without an argument they are those over nothing.
    """

    sums_3D: Tensor = field(default_factory=lambda: torch.zeros(3, 3, dtype=torch.float64))

    @classmethod
    def of(cls, values_N: Tensor, bucket_N: Tensor) -> BucketSums:
        """Sums over the values of each bucket; codes other than 0, 1, 2 are left out."""
        known_N = (bucket_N >= EASY) & (bucket_N <= HARD)
        values_N, bucket_N = values_N.double()[known_N], bucket_N[known_N]
        terms = torch.stack([torch.ones_like(values_N), values_N, values_N.square()])
        sums_3D = torch.zeros(3, 3, dtype=torch.float64, device=values_N.device)
        return cls(sums_3D.index_add_(1, bucket_N, terms))

    def __add__(self, other: BucketSums) -> BucketSums:
        return BucketSums(self.sums_3D + other.sums_3D)

    def present(self) -> Iterator[tuple[int, float]]:
        """Code and mean of every bucket that is not empty."""
        for code, (number, total, _) in enumerate(self.sums_3D.T.tolist()):
            if number:
                yield code, total / number

    @property
    def mean_D(self) -> Tensor:
        """Mean per bucket, NaN for an empty one."""
        return self.sums_3D[1] / self.sums_3D[0]

    @property
    def variance_D(self) -> Tensor:
        """Variance per bucket (division by the number), NaN for an empty one."""
        return (self.sums_3D[2] / self.sums_3D[0] - self.mean_D.square()).clamp(min=0.0)


@dataclass
class EmaTargets:
    """Target HWE counts T_d per bucket: an average over earlier steps (deviation 3), in tokens."""

    decay: float
    value_D: list[float | None] = field(default_factory=lambda: [None, None, None])

    def current(self, sums: BucketSums) -> Tensor:
        """Targets of this step, (3,): the average so far; a bucket's first batch has its mean.

        A bucket that was never seen and is empty has the target NaN, which nothing looks at.
        """
        pairs = zip(self.value_D, sums.mean_D.tolist(), strict=True)
        known_D = [mean if past is None else past for past, mean in pairs]
        return torch.tensor(known_D, dtype=torch.float64)

    def update(self, sums: BucketSums) -> None:
        """Take in this step's (reduced) sums; empty buckets keep their value."""
        for index, mean in sums.present():
            past = self.value_D[index]
            first = past is None
            self.value_D[index] = mean if first else self.decay * past + (1 - self.decay) * mean


@dataclass
class ReleasedTargets:
    """The release's targets (rounded batch means, in tokens) and its weights alpha_d."""

    rate: float = 0.05
    alpha_max: float = 2.0
    target_D: list[float | None] = field(default_factory=lambda: [None, None, None])
    alpha_D: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])

    def update(self, sums: BucketSums) -> None:
        """Take in the sums of the GROUP MEANS of the HWE counts: one value per prompt.

        alpha moves by rate x (mean - target), for hard by the opposite; since the target is the
        rounded mean, that is rounding noise of at most half a token.
        """
        for index, mean in sums.present():
            target = float(round(mean))  # half to even, as Python and the release round
            error = target - mean if index == HARD else mean - target
            moved = self.alpha_D[index] + self.rate * error
            self.target_D[index] = target
            self.alpha_D[index] = min(max(moved, 0.0), self.alpha_max)
