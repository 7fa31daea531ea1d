"""Advantages from group rewards (GRPO, Alg. 1) and the dynamic-sampling filter (DAPO).

Deviations and choices:
1. Alg. 1 subtracts a baseline b from the bonus psi and does not say which. Ours is the mean of the
   bonus over the response tokens of the batch, so that psi adds no drift of its own.
2. Alg. 1's phi is not given either; here it is the identity: the bonus is the excess entropy in
   nats.
3. The filter works on whichever score is given. The release gives it the shaped reward; ours gives
   it the accuracy, because the entropy reward leaves nearly every group with some variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.difficulty import group_means
from ares.method.windows import excess_entropy

STD_EPS = 1e-6


def group_centred(reward_B: Tensor, group_B: Tensor) -> Tensor:
    """R_i - mean R of its group, (B,) float64 (Alg. 1's numerator)."""
    mean_G, _ = group_means(reward_B, group_B)
    return reward_B.double() - mean_G[group_B]


def group_normalised(reward_B: Tensor, group_B: Tensor, floor: float = 0.0) -> Tensor:
    """(R_i - mean R) / (std R + 1e-6), std unbiased, (B,) float64 (GRPO, release).

    A std below `floor` (ours) counts as that much: without it the small differences in a group that
    is all right or all wrong would weigh as much as the accuracy elsewhere.

    Raises:
        UserError: a group of one, whose std does not exist.
    """
    centred_B = group_centred(reward_B, group_B)
    mean_square_G, size_G = group_means(centred_B.square(), group_B)
    if (size_G == 1).any():
        raise UserError(
            "group of one rollout: its standard deviation does not exist; sample at least 2"
        )
    std_G = (mean_square_G * size_G / (size_G - 1)).sqrt().clamp(min=floor)
    return centred_B / (std_G[group_B] + STD_EPS)


def length_normalised(reward_B: Tensor, group_B: Tensor, length_B: Tensor) -> Tensor:
    """(R_i - mean R) / L_i, (B,) float64 (Alg. 1); 0 for an empty rollout."""
    return group_centred(reward_B, group_B) / length_B.clamp(min=1) * (length_B > 0)


def token_advantages(advantage_B: Tensor, mask_BT: Tensor, psi_BT: Tensor | None = None) -> Tensor:
    """Rollout advantages on their tokens, plus psi_t: (B, T) float32, 0 where masked.

    Alg. 1: A_t = (R_i - mean R) / L_i + psi_t.
    """
    advantage_BT = advantage_B[:, None].expand(mask_BT.shape)
    if psi_BT is not None:
        advantage_BT = advantage_BT + psi_BT
    return torch.where(mask_BT.bool(), advantage_BT, 0.0).float()


def psi_bonus(
    window_BT: Tensor,
    hwe_BT: Tensor,
    mask_BT: Tensor,
    threshold: Tensor | float,
    multiplier_B: Tensor,
) -> Tensor:
    """psi_t = lambda_d phi([W_t - theta]_+) m_t - b on response tokens, (B, T) (Alg. 1).

    `threshold` is theta in nats, one number or (B,); `multiplier_B` lambda_d of each rollout.
    """
    mask_BT = mask_BT.bool()
    bonus_BT = multiplier_B.double()[:, None] * excess_entropy(window_BT, threshold).double()
    bonus_BT = bonus_BT * (hwe_BT.bool() & mask_BT)
    baseline = float(bonus_BT.sum() / mask_BT.sum().clamp(min=1))  # deviation 1
    return torch.where(mask_BT, bonus_BT - baseline, 0.0)


def informative_groups(score_B: Tensor, group_B: Tensor, low: float, high: float) -> Tensor:
    """Rollouts of groups whose mean score is strictly inside (low, high): (B,) bool."""
    mean_G, _ = group_means(score_B, group_B)
    return ((mean_G > low) & (mean_G < high))[group_B]
