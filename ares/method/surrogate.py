"""The clipped surrogate with dual clip, as GRPO and DAPO use it and as the trainer optimises it.

Choices:
1. The order of operations is that of TRL, so that the loss is TRL's bit for bit. Only log-ratios
   beyond 20 are cut off, which TRL lets overflow.
2. Both averages of the release exist: "token" (over all tokens of the batch) and "sequence" (over
   the tokens of a rollout, then over rollouts).
"""

from __future__ import annotations

import torch
from torch import Tensor

#: exp(20) is 5e8: a ratio beyond carries no information, only overflow.
LARGEST_LOG_RATIO = 20.0


def policy_loss(
    log_ratio_BT: Tensor,
    advantage_BT: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> Tensor:
    """-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), bounded by dual_clip |A| where A < 0.

    Args:
        log_ratio_BT: ln r, log-probability of each sampled token now less then (nats), or (B, 1)
            with one ratio per rollout. The gradient flows through it.
        advantage_BT: token advantages, or (B, 1).
        dual_clip: bound on the ratio where the advantage is negative (3); above 1 + clip_high.

    >>> ratio_BT = torch.tensor([[2.0, 2.0, 5.0]])
    >>> policy_loss(ratio_BT.log(), torch.tensor([[1.0, -1.0, -1.0]]), 0.2, 0.3, 3.0).tolist()
    [[-1.2999999523162842, 2.0, 3.0]]
    """
    ratio_BT = ratio(log_ratio_BT)
    clipped_BT = torch.clamp(ratio_BT, 1 - clip_low, 1 + clip_high)
    if dual_clip is not None:
        ratio_BT = torch.clamp(ratio_BT, max=dual_clip)
    return -torch.min(ratio_BT * advantage_BT, clipped_BT * advantage_BT)


def ratio(log_ratio_BT: Tensor) -> Tensor:
    """r from ln r, without overflow: a gradient of inf times 0 would be NaN."""
    return log_ratio_BT.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()


def clipped_tokens(
    log_ratio_BT: Tensor, advantage_BT: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """Where the clip range binds below and above, two bool tensors: those tokens don't learn."""
    ratio_BT = ratio(log_ratio_BT)
    return (
        (ratio_BT < 1 - clip_low) & (advantage_BT < 0),
        (ratio_BT > 1 + clip_high) & (advantage_BT > 0),
    )


def masked_average(
    values_BT: Tensor, mask_BT: Tensor, average: str = "token", tokens: Tensor | float | None = None
) -> Tensor:
    """Average over response tokens ("token"), or over tokens and then over rollouts ("sequence").

    Without any token it is 0. "token" divides by `tokens` where it is given: the number in the
    whole batch, of which this is a part.
    """
    values_BT = torch.where(mask_BT.bool(), values_BT, 0.0)
    if average == "sequence":
        return (values_BT.sum(-1) / mask_BT.sum(-1).clamp(min=1.0)).mean()
    return values_BT.sum() / (mask_BT.sum().clamp(min=1.0) if tokens is None else tokens)
