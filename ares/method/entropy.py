"""Token entropy (eq. 3): exact from logits, and from the top log-probabilities a sampler hands out.

Deviations and choices:
1. A log-probability of -inf is probability 0 and adds 0, as the limit of p ln p says. The release
   multiplies 0 by -inf there and goes on with NaN.
2. NaN is refused with an error that names the place, here as everywhere in the method.
3. The tail bucket of the release, r = max(0, 1 - sum p), adds -r ln max(r, 1e-12). It is a lower
   bound
   on what the missing words add: spreading r over several words only raises the entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ares.errors import UserError
from ares.method.tensors import as_float, check_mask

#: Logits per chunk of the exact entropy. On a CPU a chunk and its scratch copy must stay in the
#: cache (2 x 1 MiB); a GPU wants few launches (2 x 256 MiB).
CHUNK_ELEMENTS = {"cpu": 2**18, "cuda": 2**26}
#: exp() of anything below is 0 in float32 and float64, and 0 times it is 0 rather than NaN.
_LOG_ZERO = -1e4
_SMALLEST_TAIL = 1e-12


@torch.no_grad()
def exact_entropy(
    logits: Tensor, temperature: float = 1.0, chunk_elements: int | None = None
) -> Tensor:
    """Entropy of softmax(logits / temperature) over the whole vocabulary, in nats (eq. 3).

    Works through a few tokens at a time: beside the result, memory grows with the chunk alone,
        never
    with tokens x vocabulary. No gradient flows.

    Args:
        logits: (..., V) in any float type; -inf is probability 0. bf16 is computed in float32.
        temperature: sampling temperature, above 0.
        chunk_elements: logits per chunk; default `CHUNK_ELEMENTS` of the device.

    Returns:
        (...) entropies, float32 (float64 for float64 logits), each in [0, ln V].

    Raises:
        UserError: a temperature that is not positive, or logits with NaN, +inf or nothing finite.

    >>> round(float(exact_entropy(torch.zeros(8))), 4)  # ln 8
    2.0794
    """
    if not temperature > 0:
        raise UserError(
            f"temperature={temperature}: the entropy is that of sampling, at a temperature above 0"
        )
    vocabulary = logits.shape[-1]
    logits_NV = logits.reshape(-1, vocabulary)
    if chunk_elements is None:
        chunk_elements = CHUNK_ELEMENTS.get(logits.device.type, CHUNK_ELEMENTS["cpu"])
    rows = max(1, chunk_elements // vocabulary)
    dtype = as_float(logits_NV[:0]).dtype
    entropy_N = torch.empty(len(logits_NV), dtype=dtype, device=logits.device)
    shape = (min(rows, len(logits_NV)), vocabulary)
    shifted = torch.empty(shape, dtype=dtype, device=logits.device)
    weight = torch.empty_like(shifted)
    for begin in range(0, len(logits_NV), rows):
        chunk_CV = logits_NV[begin : begin + rows]
        size = len(chunk_CV)
        _entropy_of_chunk(
            chunk_CV, temperature, shifted[:size], weight[:size], entropy_N[begin : begin + size]
        )
    _refuse_nan(entropy_N, "logits: NaN, +inf or nothing finite")
    return entropy_N.reshape(logits.shape[:-1])


@torch.no_grad()
def topk_entropy(logprobs_BTK: Tensor, mask_BT: Tensor, tail: bool = True) -> Tensor:
    """Entropy from the K listed log-probabilities of each token, in nats, 0 where masked.

    Args:
        logprobs_BTK: log-probabilities of the alternatives, -inf for "no such alternative" (rows
            with 10 and with 11 entries share a tensor that way). The order does not matter.
        mask_BT: True on response tokens.
        tail: put the missing probability into one more word (the release does so for the mean
            entropy and the triggers, and does not in its threshold).

    Returns:
        (B, T), float32 (float64 for float64 input).

    Raises:
        UserError: NaN or a positive log-probability under the mask; shapes that don't match.
    """
    if logprobs_BTK.shape[:-1] != mask_BT.shape:
        raise UserError(
            f"log-probabilities {tuple(logprobs_BTK.shape)} do not fit the mask "
            f"{tuple(mask_BT.shape)}: expected (B, T, K) and (B, T)"
        )
    entropy_BT, listed_BT = _listed_terms(as_float(logprobs_BTK))
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


def top1_ids(ids_BTK: Tensor, logprobs_BTK: Tensor) -> Tensor:
    """Id of the most probable listed alternative, (B, T); of equals the first listed one wins."""
    return ids_BTK.gather(-1, logprobs_BTK.argmax(-1, keepdim=True)).squeeze(-1)


def mean_entropy(entropy_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean token entropy of each rollout, (B,) in nats; 0 for an empty one, as in the release."""
    mask_BT = check_mask(entropy_BT, mask_BT)
    total_B = torch.where(mask_BT, as_float(entropy_BT), 0.0).sum(1)
    return total_B / mask_BT.sum(1).clamp(min=1)


def topk_entropy_error(logits_NV: Tensor, ks: Sequence[int], tail: bool = True) -> Tensor:
    """Top-k minus exact entropy of each token, in nats: (len(ks), N).

    Never positive beyond rounding: leaving words out, or one word in place of many, lowers the
        entropy.

    Raises:
        UserError: a k outside 1 .. V.
    """
    if not all(1 <= k <= logits_NV.shape[-1] for k in ks):
        raise UserError(
            f"ks={list(ks)}: each k lies between 1 and the vocabulary size {logits_NV.shape[-1]}"
        )
    exact_N = exact_entropy(logits_NV)
    logprobs_NV = as_float(logits_NV).log_softmax(-1).sort(-1, descending=True).values
    mask_N1 = torch.ones(len(logits_NV), 1, dtype=torch.bool, device=logits_NV.device)
    return torch.stack(
        [topk_entropy(logprobs_NV[:, None, :k], mask_N1, tail).squeeze(1) - exact_N for k in ks]
    )


def _listed_terms(logprobs_BTK: Tensor) -> tuple[Tensor, Tensor]:
    """-sum p ln p and sum p over the listed alternatives, (B, T) each; NaN in, NaN out.

    A few thousand tokens at a time: full-size temporaries would cost more than the arithmetic.
    """
    logprobs_NK = logprobs_BTK.reshape(-1, logprobs_BTK.shape[-1])
    terms_2N = logprobs_NK.new_empty(2, len(logprobs_NK))
    elements = CHUNK_ELEMENTS.get(logprobs_NK.device.type, CHUNK_ELEMENTS["cpu"]) // 4
    rows = max(1, elements // max(1, logprobs_NK.shape[1]))
    scratch = logprobs_NK.new_empty(2, min(rows, len(logprobs_NK)), logprobs_NK.shape[1])
    for begin in range(0, len(logprobs_NK), rows):
        chunk_CK = logprobs_NK[begin : begin + rows]
        probability_CK, product_CK = scratch[:, : len(chunk_CK)]
        torch.exp(chunk_CK, out=probability_CK)
        torch.clamp(chunk_CK, min=_LOG_ZERO, out=product_CK)
        product_CK.mul_(probability_CK)
        torch.sum(product_CK, -1, out=terms_2N[0, begin : begin + rows])
        torch.sum(probability_CK, -1, out=terms_2N[1, begin : begin + rows])
    listed_BT = terms_2N[1].reshape(logprobs_BTK.shape[:-1])
    return -terms_2N[0].reshape(listed_BT.shape), listed_BT


def _entropy_of_chunk(
    chunk_CV: Tensor, temperature: float, shifted_CV: Tensor, weight_CV: Tensor, out_C: Tensor
) -> None:
    """H = ln sum e^d - sum d e^d / sum e^d with d = (z - max z) / temperature, into `out_C`."""
    if chunk_CV.dtype != shifted_CV.dtype:
        chunk_CV = shifted_CV.copy_(chunk_CV)  # else the difference is taken in half precision
    torch.sub(chunk_CV, chunk_CV.amax(-1, keepdim=True), out=shifted_CV)
    if temperature != 1.0:
        shifted_CV.div_(temperature)
    shifted_CV.clamp_(min=_LOG_ZERO)
    torch.exp(shifted_CV, out=weight_CV)
    total_C = weight_CV.sum(-1)
    # Rounding may leave -1e-8 where one word has all the probability.
    out_C.copy_(
        (total_C.log() - torch.linalg.vecdot(weight_CV, shifted_CV) / total_C).clamp(min=0.0)
    )


def _refuse_nan(entropy_N: Tensor, what: str) -> None:
    if entropy_N.isnan().any():
        token = int(entropy_N.isnan().nonzero()[0, 0])
        raise UserError(
            f"{what} at token {token} (counted over all leading axes): check the model's output"
        )
