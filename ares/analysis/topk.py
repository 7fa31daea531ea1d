"""What is lost when the entropy is taken from a sampler's top log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ares.errors import UserError
from ares.method.entropy import topk_entropy


def entropy_from_top(
    top_k: pd.DataFrame, k: int, tail: bool, add_sampled: bool = False
) -> np.ndarray:
    """Entropy of every row from its k most probable tokens, in nats, float64.

    Args:
        top_k: rows of the top_k table (top_logprobs, best first; sampled_logprob).
        k: number of listed tokens.
        tail: put the missing probability into one more word.
        add_sampled: list the sampled token too where it is not among the k (as vLLM does, hence
            10 or 11 alternatives in the release).

    Raises:
        UserError: k is not between 1 and the number of stored log-probabilities.
    """
    logprobs_NK = np.stack(top_k["top_logprobs"].to_list()).astype(float)
    if not 1 <= k <= logprobs_NK.shape[1]:
        raise UserError(f"k={k}: the table holds the {logprobs_NK.shape[1]} most probable tokens")
    listed_NK = logprobs_NK[:, :k]
    if add_sampled:
        sampled_N = top_k["sampled_logprob"].to_numpy(float)
        extra_N = np.where(sampled_N < listed_NK[:, -1], sampled_N, -np.inf)
        listed_NK = np.concatenate([listed_NK, extra_N[:, None]], axis=1)
    mask_N1 = torch.ones(len(listed_NK), 1, dtype=torch.bool)
    return topk_entropy(torch.from_numpy(listed_NK)[:, None], mask_N1, tail)[:, 0].numpy()


def top_k_error(top_k: pd.DataFrame, ks: Sequence[int]) -> pd.DataFrame:
    """Error of the top-k entropy against the exact one, as a function of k.

    Returns:
        k, tail (with the tail bucket), mean and percentile_95 of the absolute error in nats, share
        (mean error / mean entropy), tokens (their number).
    """
    exact = top_k["entropy"].to_numpy(float)
    rows = []
    for tail in (False, True):
        for k in ks:
            error = np.abs(entropy_from_top(top_k, k, tail) - exact)
            rows.append(
                {
                    "k": k,
                    "tail": tail,
                    "mean": error.mean(),
                    "percentile_95": np.quantile(error, 0.95),
                    "share": error.mean() / exact.mean(),
                    "tokens": len(exact),
                }
            )
    return pd.DataFrame(rows)
