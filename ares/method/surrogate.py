"""The clipped surrogate loss with dual clip, as GRPO and DAPO use it.

Choices:
1. Both averages of the release exist: "token" (over all tokens of the batch) and "sequence" (over
   tokens, then over rollouts). A micro-batch passes `total`, the number of tokens or rollouts in
   the WHOLE batch, and the losses of the micro-batches add up to the loss of the batch.
2. Statistics are fractions of response tokens; over processes, weight them with the token counts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.tensors import as_float, check_mask

AVERAGES = ("token", "sequence")
#: exp(20) is 5e8: a ratio beyond carries no information, only overflow.
_LARGEST_LOG_RATIO = 20.0
_EPS = 1e-8


def policy_loss(
    old_logprob_BT: Tensor,
    logprob_BT: Tensor,
    advantage_BT: Tensor,
    mask_BT: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float,
    average: str = "token",
    total: float | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), bounded by dual_clip |A| where A < 0.

    Args:
        old_logprob_BT, logprob_BT: log-probabilities (nats) of the sampled tokens then and now; the
            gradient flows through `logprob_BT`.
        advantage_BT: token advantages.
        mask_BT: True on response tokens.
        clip_low, clip_high: widths of the clip range (0.2 and 0.3).
        dual_clip: bound on the ratio where the advantage is negative (3).
        average, total: see `masked_average`.

    Returns:
        The scalar loss and statistics over the response tokens: `ppo_kl` (nats), `entropy_loss`
            (nats),
        `pg_clipfrac_higher` and `pg_clipfrac_lower` (fractions).

    Raises:
        UserError: NaN or infinite numbers under the mask, or clip values that make no range.
    """
    if not (0 <= clip_low < 1 and clip_high >= 0 and dual_clip > 1):
        raise UserError(
            f"clip_low={clip_low}, clip_high={clip_high}, dual_clip={dual_clip}: expected "
            "0 <= clip_low < 1, clip_high >= 0, dual_clip > 1"
        )
    mask_BT = check_mask(logprob_BT, mask_BT)
    old_logprob_BT, logprob_BT, advantage_BT = (
        torch.where(mask_BT, as_float(values), 0.0)
        for values in (old_logprob_BT, logprob_BT, advantage_BT)
    )
    log_ratio_BT = (logprob_BT - old_logprob_BT).clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    # Clipped before exp, so that no gradient is inf times 0.
    clipped_BT = log_ratio_BT.clamp(math.log(1 - clip_low), math.log(1 + clip_high)).exp()
    plain_BT = -advantage_BT * log_ratio_BT.exp()
    bounded_BT = -advantage_BT * clipped_BT
    floor_BT = -advantage_BT * dual_clip
    pessimistic_BT = torch.maximum(plain_BT, bounded_BT)
    negative_BT = advantage_BT < 0
    loss_BT = torch.where(negative_BT, torch.minimum(pessimistic_BT, floor_BT), pessimistic_BT)
    loss = masked_average(loss_BT, mask_BT, average, total)
    if not torch.isfinite(loss):
        raise UserError(
            "policy loss is not finite: NaN or infinity in log-probabilities or advantages"
        )
    statistics = {
        "ppo_kl": masked_average(-log_ratio_BT, mask_BT),
        "entropy_loss": masked_average(-logprob_BT, mask_BT, average),
        "pg_clipfrac_higher": masked_average((plain_BT < bounded_BT).float(), mask_BT),
        "pg_clipfrac_lower": masked_average(
            ((pessimistic_BT > floor_BT) & negative_BT).float(), mask_BT
        ),
    }
    return loss, {name: float(value.detach()) for name, value in statistics.items()}


def masked_average(
    values_BT: Tensor, mask_BT: Tensor, average: str = "token", total: float | None = None
) -> Tensor:
    """Average over response tokens ("token"), or over tokens and then over rollouts ("sequence").

    Args:
        values_BT, mask_BT: values and response mask; without any token the average is 0.
        total: divide by this instead of by the tokens (or rollouts) at hand: the number in the
            whole batch.

    Raises:
        UserError: an unknown average.
    """
    if average not in AVERAGES:
        raise UserError(f"average={average!r}: choose from {AVERAGES}")
    values_BT = torch.where(mask_BT.bool(), values_BT, 0.0)
    if average == "token":
        return values_BT.sum() / (mask_BT.sum() + _EPS if total is None else total)
    mean_B = values_BT.sum(1) / (mask_BT.sum(1) + _EPS)
    return mean_B.sum() / (len(mean_B) if total is None else total)
