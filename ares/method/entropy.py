"""Token entropy (eq. 3): of a model's logits, and from the log-probabilities a sampler hands out.

Deviations and choices:
1. A log-probability of -inf is probability 0 and adds 0, as the limit of p ln p says. The release
   multiplies 0 by -inf there and goes on with NaN.
2. NaN and logits of +inf have no entropy: `distribution` passes NaN on, and the code that runs the
   model raises an error with the position; `topk_entropy` raises it itself.
3. The tail bucket of the release, r = max(0, 1 - sum p), adds -r ln max(r, 1e-12). It is a lower
   bound on what the missing words add: spreading r over several words only raises the entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.tensors import as_float

#: exp() of anything below is 0 in float32 and float64, and 0 times it is 0 rather than NaN.
_LOG_ZERO = -1e4
_SMALLEST_TAIL = 1e-12


def distribution(logits_BV: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities (B, V), log-probabilities (B, V) and entropies (B,) in nats.

    All of softmax(logits / temperature) over the whole vocabulary, in float32; H = -sum p ln p
    (eq. 3). The sampler, the scorer and the local back-end take their entropies from here.

    >>> round(float(distribution(torch.zeros(1, 8), 1.0)[2]), 4)  # ln 8
    2.0794
    """
    logprob_BV = torch.log_softmax(logits_BV.float() / temperature, dim=-1)
    prob_BV = logprob_BV.exp()
    return prob_BV, logprob_BV, -(prob_BV * logprob_BV.clamp(min=_LOG_ZERO)).sum(-1)


@torch.no_grad()
def logits_entropy(logits: Tensor, chunk_size: int = 128) -> Tensor:
    """Entropy of softmax(logits) over the last axis, nats, for `chunk_size` rows at a time.

    >>> round(float(logits_entropy(torch.tensor([0.0, -torch.inf, 0.0]))), 4)  # ln 2
    0.6931
    """
    rows = logits.reshape(-1, logits.shape[-1]).split(chunk_size)
    return torch.cat([distribution(chunk, 1.0)[2] for chunk in rows]).reshape(logits.shape[:-1])


def topk_entropy(logprobs_BTK: Tensor, mask_BT: Tensor, tail: bool = True) -> Tensor:
    """Entropy from the K listed log-probabilities of each token, in nats, 0 where masked.

    Args:
        logprobs_BTK: log-probabilities of the alternatives, -inf for "no such alternative" (rows
            with 10 and with 11 entries share a tensor that way). The order does not matter.
        tail: put the missing probability into one more word (the release does so for the mean
            entropy and the triggers, and does not in its threshold).

    Raises:
        UserError: NaN or a positive log-probability under the mask.
    """
    logprobs_BTK = as_float(logprobs_BTK)
    probability_BTK = logprobs_BTK.exp()
    entropy_BT = -(probability_BTK * logprobs_BTK.clamp(min=_LOG_ZERO)).sum(-1)
    listed_BT = probability_BTK.sum(-1)
    if tail:
        rest_BT = (1.0 - listed_BT).clamp(min=0.0)
        entropy_BT = entropy_BT - rest_BT * rest_BT.clamp(min=_SMALLEST_TAIL).log()
    mask_BT = mask_BT.bool()
    # A float32 sum over a nucleus is off by 1e-6 or so; far above 1 these are no log-probabilities.
    wrong_BT = mask_BT & ~(listed_BT < 1.01)
    if wrong_BT.any():
        where = [tuple(index) for index in wrong_BT.nonzero()[:3].tolist()]
        raise UserError(
            f"log-probabilities: NaN, or probabilities that add up to more than 1, at {where}: "
            "give the sampler's log-probabilities (not logits), -inf for a missing alternative"
        )
    return torch.where(mask_BT, entropy_BT, 0.0)
