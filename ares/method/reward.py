"""The entropy reward: three forms from the sources, and ours with a guarantee.

Every function takes per-rollout tensors (B,): `accuracy_B` (0 to 1; only 1 is right, as in the
release), `count_B` = N_HE (tokens), `target_B` = T_d of the rollout's bucket (tokens), `bucket_B`
(0 easy, 1 medium, 2 hard), and returns what is ADDED to the accuracy, in reward units, float64.
delta = N_HE - T_d.

Deviations and choices:
1. Main text: with T_d the mean of its own batch the multiplier lambda_d is identically 0 (shown in
   the theory notebook). `main_text_multiplier` therefore takes the target separately: earlier
   steps' average.
2. Fig. 9 is given in words only. `ares_reward` is our reading of it; see its docstring for the
   proof that no wrong answer outscores a right one. The released form has no such guarantee.
3. The release's weights alpha_d drift by rounding noise; `ares_reward` has one fixed weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.difficulty import EASY, HARD, MEDIUM, BucketSums

_MARGIN_FRACTION = (0.15, 0.25, 0.35)
_KAPPA = (2.0, 3.0, 4.0)
_TAU = (2.0, 2.5, 3.0)
_CAP_SCALE = (1.0, 1.0, 1.2)
_WRONG_SCALE = (0.6, 0.8, 1.0)

#: Share of a full bonus that a wrong answer can earn under `ares_reward`: mild on easy, more on
#: hard.
_WRONG_SHARE = (0.25, 0.5, 0.75)


def margin(target_B: Tensor, bucket_B: Tensor) -> Tensor:
    """Tolerance around the target in tokens: max(1, f_d max(T_d, 1)) (release)."""
    fraction_B = _by_bucket(_MARGIN_FRACTION, bucket_B)
    return (fraction_B * target_B.double().clamp(min=1.0)).clamp(min=1.0)


def main_text_multiplier(sums: BucketSums, target_D: Tensor, eps: float = 1e-6) -> Tensor:
    """lambda_d = max(0, (E[N|d] - T_d) / (Var(N|d) + eps)), (3,), in 1/tokens; 0 where empty."""
    multiplier_D = (sums.mean_D - target_D) / (sums.variance_D + eps)
    return multiplier_D.clamp(min=0.0).where(sums.sums_3D[0] > 0, 0.0)


def main_text_reward(
    accuracy_B: Tensor, count_B: Tensor, target_B: Tensor, bucket_B: Tensor, multiplier_D: Tensor
) -> Tensor:
    """-[wrong] lambda_d g_d(delta): g = [delta]_+ easy, |delta| medium, [-delta]_+ hard."""
    delta_B = count_B.double() - target_B.double()
    gap_B = _choose(bucket_B, delta_B.clamp(min=0), delta_B.abs(), (-delta_B).clamp(min=0))
    return torch.where(accuracy_B == 1, 0.0, -multiplier_D.double()[bucket_B] * gap_B)


def released_reward(
    accuracy_B: Tensor, count_B: Tensor, target_B: Tensor, bucket_B: Tensor, alpha_B: Tensor
) -> Tensor:
    """The released form, which the paper's worked examples (App. M) follow.

    `alpha_B` is the weight of the rollout's bucket. A bucket code other than 0, 1, 2 has no reward.
    """
    delta_B = count_B.double() - target_B.double()
    known_B = (bucket_B >= EASY) & (bucket_B <= HARD)
    bucket_B = bucket_B.where(known_B, EASY)
    margin_B = margin(target_B, bucket_B)
    cap_B = alpha_B.double() * _by_bucket(_CAP_SCALE, bucket_B)
    kappa_B, tau_B = _by_bucket(_KAPPA, bucket_B), _by_bucket(_TAU, bucket_B)

    def penalty(excess_B: Tensor, share: float = 1.0) -> Tensor:
        x = excess_B.clamp(min=0.0)
        huber_B = torch.where(x <= kappa_B, 0.5 * x * x / kappa_B, x - 0.5 * kappa_B)
        relative_B = share * huber_B / (margin_B + kappa_B)
        return -torch.minimum(cap_B, relative_B * cap_B)

    hard_right_B = torch.where(
        delta_B >= -margin_B,
        torch.sigmoid((delta_B + margin_B) / tau_B) * cap_B,
        penalty(-delta_B - margin_B, 0.5),
    )
    right_B = _choose(
        bucket_B, penalty(delta_B - margin_B), penalty(delta_B.abs() - margin_B), hard_right_B
    )
    over_B = (delta_B - margin_B).clamp(min=0.0)
    wrong_B = torch.sigmoid(over_B / tau_B) * cap_B * _by_bucket(_WRONG_SCALE, bucket_B)
    return torch.where(accuracy_B == 1, right_B, wrong_B).where(known_B, 0.0)


def ares_reward(
    accuracy_B: Tensor, count_B: Tensor, target_B: Tensor, bucket_B: Tensor, weight: float
) -> Tensor:
    """Ours: Fig. 9 in words, made whole: (weight / 2) f_d(delta), f in [-1, 1].

    With g(x) = 1 - exp(-max(0, x) / max(1, T)), which lies in [0, 1], and the margin m of `margin`:

        easy    right: -g(delta - m)    wrong: g(delta) / 4    too long punished; mild push if wrong
        medium  right: -g(|delta| - m)  wrong: g(delta) / 2    symmetric; longer if wrong
        hard    right: g(delta)         wrong: 3 g(delta) / 4  longer rewarded, right or wrong

    No wrong answer (accuracy 0) outscores a right one, for ANY counts and targets. Proof: f >= -1,
    so a right answer scores at least 1 - weight / 2. A wrong one has f <= 3/4 and scores at most
    3/8 weight. The difference is at least 1 - 7/8 weight, and that is at least 1/8 since weight
    <= 1. Counts, targets and buckets do not appear in the bound: the rollouts need not even share
    a group. Partial credit of more than 1/8 is outside the proof.

    Raises:
        UserError: a weight outside [0, 1].
    """
    if not 0.0 <= weight <= 1.0:
        raise UserError(
            f"entropy weight {weight}: choose it in [0, 1]; above, a wrong answer could win"
        )
    delta_B = count_B.double() - target_B.double()
    margin_B = margin(target_B, bucket_B)
    scale_B = target_B.double().clamp(min=1.0)

    def growth(excess_B: Tensor) -> Tensor:
        return -torch.expm1(-excess_B.clamp(min=0.0) / scale_B)

    more_B = growth(delta_B)
    right_B = _choose(
        bucket_B, -growth(delta_B - margin_B), -growth(delta_B.abs() - margin_B), more_B
    )
    wrong_B = _by_bucket(_WRONG_SHARE, bucket_B) * more_B
    return 0.5 * weight * torch.where(accuracy_B == 1, right_B, wrong_B)


def count_inversions(reward_B: Tensor, accuracy_B: Tensor, group_B: Tensor) -> tuple[int, int]:
    """Pairs (wrong, right) of one group in which the wrong answer scores MORE, and all such pairs.

    >>> reward_B, accuracy_B = torch.tensor([0.6, 0.5, 0.1]), torch.tensor([0, 1, 0])
    >>> count_inversions(reward_B, accuracy_B, torch.tensor([0, 0, 0]))
    (1, 2)
    """
    right_B = accuracy_B == 1
    wrong_B = ~right_B
    pair_BB = wrong_B[:, None] & right_B[None, :] & (group_B[:, None] == group_B[None, :])
    return int((pair_BB & (reward_B[:, None] > reward_B[None, :])).sum()), int(pair_BB.sum())


def smallest_inverting_target(bucket: int, weight: float, largest: int = 2000) -> int | None:
    """Smallest target (HWE tokens) from which the RELEASED form can put a wrong answer first.

    All counts from 0 to three times the target are tried for both answers.

    `weight` is alpha of both answers; None where no target up to `largest` inverts a pair.
    """
    for target in range(largest + 1):
        count_B = torch.arange(3 * target + 20)
        wrong_B, right_B, target_B, bucket_B = (
            torch.full_like(count_B, value) for value in (0, 1, target, bucket)
        )
        rollouts = count_B, target_B, bucket_B, torch.full(count_B.shape, weight)
        best_wrong = released_reward(wrong_B, *rollouts).max()
        if best_wrong > 1 + released_reward(right_B, *rollouts).min():
            return target
    return None


def _by_bucket(values: tuple[float, float, float], bucket_B: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=bucket_B.device)[bucket_B]


def _choose(bucket_B: Tensor, easy_B: Tensor, medium_B: Tensor, hard_B: Tensor) -> Tensor:
    return torch.where(bucket_B == EASY, easy_B, torch.where(bucket_B == MEDIUM, medium_B, hard_B))
