"""How sure a model was of every token of a response: exact where the backend saw everything."""

from __future__ import annotations

import torch

from ares.backends.base import Response
from ares.errors import UserError
from ares.method.entropy import topk_entropy
from ares.method.windows import window_entropy


def token_entropies(response: Response) -> tuple[list[str], list[float], int]:
    """Tokens, their entropies in nats, and from how many alternatives these are estimated.

    Of a backend that sees the whole distribution the entropies are exact, at the sampling
    temperature, and the number is 0. Of another they are estimated from the listed alternatives, at
    temperature 1; what is not listed counts as one more token, so they are too low rather than too
    high.

    Raises:
        UserError: there are no log-probabilities.
    """
    if response.logprobs is None:
        raise UserError(
            "the server gives no log-probabilities, so no entropies: leave --entropy out, or run "
            "the model here (without --url)"
        )
    tokens = [record["token"] for record in response.logprobs]
    if response.entropy is not None:
        return tokens, response.entropy, 0
    listed = [[rival["logprob"] for rival in r["top_logprobs"]] for r in response.logprobs]
    most = max(map(len, listed), default=0)
    padded = [row + [-torch.inf] * (most - len(row)) for row in listed]
    logprobs_BTK = torch.tensor(padded).reshape(1, len(listed), most)
    values_BT = topk_entropy(logprobs_BTK, torch.ones(1, len(listed), dtype=torch.bool))
    return tokens, values_BT[0].tolist(), most


def window_entropies(entropies: list[float], window: int) -> list[float]:
    """Mean entropy of the `window` tokens that start at each (eq. 4); NaN where some are missing.

    >>> window_entropies([1.0, 3.0, 5.0], 2)
    [2.0, 4.0, nan]
    """
    entropy_BT = torch.tensor([entropies])
    mask_BT = torch.ones_like(entropy_BT, dtype=torch.bool)
    return window_entropy(entropy_BT, mask_BT, window)[0].tolist()
