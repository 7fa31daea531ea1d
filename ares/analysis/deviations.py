"""Paper against released code: entropies, windows, thresholds and HWE tokens of the same rollouts.

What the disagreements do to rewards and advantages is in `deviation_steps`. Functions take tables
or a `Corpus` and return plain numbers. The entropies are exact except where the question is what
the release's top-10 log-probabilities do to them (`tail`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ares.analysis import tables
from ares.analysis.topk import entropy_from_top
from ares.method import thresholds
from ares.method.difficulty import buckets, group_index
from ares.method.presets import PRESETS
from ares.method.step import Rollouts
from ares.method.windows import count_hwe, hwe_mask, window_entropy

PAPER, RELEASED, OURS = (PRESETS[name] for name in ("paper", "released", "ares"))
#: Alternatives per token that the release asks its sampler for.
LISTED = 10


@dataclass(frozen=True)
class Corpus:
    """All rollouts as tensors, in the order of the token table.

    sampled_BT, top1_BT: the sampled, the most probable token is in the lexicon.
    """

    entropy_BT: Tensor
    mask_BT: Tensor
    sampled_BT: Tensor
    top1_BT: Tensor
    correct_B: Tensor
    group_B: Tensor

    def part(self, rows_B: Tensor) -> Rollouts:
        """Some rollouts as one batch of the method; triggers are the release's."""
        group_B = group_index(self.group_B[rows_B].tolist())
        return Rollouts(
            self.entropy_BT[rows_B],
            self.mask_BT[rows_B],
            self.correct_B[rows_B],
            group_B,
            trigger_BT=self.top1_BT[rows_B],
        )


def corpus(rollouts: pd.DataFrame, tokens: pd.DataFrame) -> Corpus:
    """Pad the tokens and number the groups (problem and presentation)."""
    rows = rollouts.set_index("rollout_id").loc[tokens["rollout_id"].unique()]
    entropy_BT, mask_BT = tables.pad(tokens, "entropy")
    return Corpus(
        entropy_BT,
        mask_BT,
        tables.pad(tokens, "lexicon")[0],
        tables.pad(tokens, "lexicon_top1")[0],
        torch.tensor(rows["correct"].to_numpy(np.int64)),
        group_index(list(zip(rows["problem_id"], rows["presentation"], strict=True))),
    )


def tail(top_k: pd.DataFrame) -> dict[str, float]:
    """What the tail bucket, missing in the release's threshold, does (nats, fractions)."""
    entropy = {
        with_tail: entropy_from_top(top_k, LISTED, with_tail, add_sampled=True)
        for with_tail in (True, False)
    }
    exact = top_k["entropy"].to_numpy(float)
    window, theta = {}, {}
    for with_tail, values in entropy.items():
        values_BT, mask_BT = tables.pad(top_k, values)
        window[with_tail] = window_entropy(values_BT, mask_BT, RELEASED.window, "after")
        theta[with_tail] = _released_threshold(values_BT, mask_BT)
    defined = int((~window[True].isnan()).sum())
    share = {name: float((window[True] >= value).sum()) / defined for name, value in theta.items()}
    return {
        "mean error of the entropy, with tail": float(np.abs(entropy[True] - exact).mean()),
        "mean error of the entropy, without": float(np.abs(entropy[False] - exact).mean()),
        "threshold with tail": theta[True],
        "threshold without (released)": theta[False],
        "shift of the threshold": theta[False] - theta[True],
        "windows above it, with tail": share[True],
        "windows above it, released": share[False],
    }


def window_starts(data: Corpus) -> dict[str, float]:
    """How far the windows "at" (eq. 4) and "after" (release) select the same tokens (fractions).

    Each has its own 95th percentile over all its windows, so the counts are alike.
    """
    mask = {}
    for start in ("at", "after"):
        window_BT = window_entropy(data.entropy_BT, data.mask_BT, PAPER.window, start)
        theta = thresholds.batch_quantile(window_BT, data.mask_BT, 0.95)
        mask[start] = hwe_mask(window_BT, theta)
    both, either = (mask["at"] & mask["after"]).sum(), (mask["at"] | mask["after"]).sum()
    return {
        "HWE tokens of eq. 4 that are none in the release": float(1 - both / mask["at"].sum()),
        "HWE tokens of either on which both agree": float(both / either),
    }


def threshold_table(data: Corpus) -> pd.DataFrame:
    """The five definitions of the threshold on the same rollouts.

    Returns:
        definition, threshold (nats; for Alg. 1 the mean over groups), share (of tokens selected by
        the definition's own rule, fraction).
    """
    token_BT, mask_BT = data.entropy_BT, data.mask_BT
    window_BT = window_entropy(token_BT, mask_BT, PAPER.window)
    after_BT = window_entropy(token_BT, mask_BT, RELEASED.window, "after")
    q = PAPER.threshold_quantile
    group_B = thresholds.group_quantile(window_BT, mask_BT, q, data.group_B)
    definitions = {
        "main text": (window_BT, thresholds.mean_rollout_quantile(token_BT, mask_BT, q)),
        "App. H": (token_BT, thresholds.batch_quantile(token_BT, mask_BT, q)),
        "Alg. 1": (window_BT, group_B),
        "released": (after_BT, _released_threshold(token_BT, mask_BT)),
        "ares": (window_BT, thresholds.batch_quantile(window_BT, mask_BT, q)),
    }
    rows = []
    for name, (values_BT, theta) in definitions.items():
        selected = hwe_mask(values_BT, theta) & mask_BT
        known = torch.as_tensor(theta)[torch.as_tensor(theta).isfinite()]
        rows.append(
            {
                "definition": name,
                "threshold": float(known.mean()),
                "share": float(selected.sum() / mask_BT.sum()),
            }
        )
    return pd.DataFrame(rows)


def padding(data: Corpus) -> dict[str, float]:
    """What padding incomplete windows with the running mean does to the release's threshold."""
    padded = _released_threshold(data.entropy_BT, data.mask_BT)
    left_out = _released_threshold(data.entropy_BT, data.mask_BT, "undefined")
    short = (data.mask_BT.sum(1) <= RELEASED.window).double().mean()
    return {
        "threshold, incomplete windows padded": padded,
        "threshold, left out": left_out,
        "shift": padded - left_out,
        "rollouts without a complete window": float(short),
    }


def hwe_definitions(data: Corpus) -> pd.DataFrame:
    """N_HE by the three definitions: mean per rollout, and correlation with that of Alg. 1."""
    token_BT, mask_BT = data.entropy_BT, data.mask_BT
    window_BT = window_entropy(token_BT, mask_BT, PAPER.window)
    after_BT = window_entropy(token_BT, mask_BT, RELEASED.window, "after")
    q = PAPER.threshold_quantile
    group_B = thresholds.group_quantile(window_BT, mask_BT, q, data.group_B)
    pooled = thresholds.batch_quantile(token_BT, mask_BT, q)
    masks = {
        "Alg. 1: high window": hwe_mask(window_BT, group_B),
        "App. H: high token, sampled in lexicon": hwe_mask(token_BT, pooled) & data.sampled_BT,
        "released: high window, top-1 in lexicon": hwe_mask(
            after_BT, _released_threshold(token_BT, mask_BT)
        )
        & data.top1_BT,
    }
    counts = pd.DataFrame({name: count_hwe(mask & mask_BT).numpy() for name, mask in masks.items()})
    return pd.DataFrame(
        {
            "definition": counts.columns,
            "mean_count": counts.mean().to_numpy(),
            "correlation": counts.corr().iloc[0].to_numpy(),
        }
    )


def lexicon_match(data: Corpus) -> dict[str, float]:
    """How often the sampled and the most probable token disagree about being a trigger."""
    sampled, top1 = data.sampled_BT & data.mask_BT, data.top1_BT & data.mask_BT
    return {
        "sampled triggers whose top-1 token is none": float(
            (sampled & ~top1).sum() / sampled.sum()
        ),
        "top-1 triggers that were not sampled as one": float((top1 & ~sampled).sum() / top1.sum()),
    }


def difficulty_bounds(data: Corpus, sizes: range = range(2, 33)) -> dict[str, object]:
    """Groups that the bounds 3/4, 3/8 (eq. 10) and 2/3, 1/3 (release) put in different buckets."""

    def differ(rate: Tensor) -> Tensor:
        ours = buckets(rate, PAPER.easy_from, PAPER.medium_from)
        return ours != buckets(rate, RELEASED.easy_from, RELEASED.medium_from)

    count_G = torch.bincount(data.group_B)
    rate_G = torch.bincount(data.group_B, data.correct_B.double()) / count_G
    moved = [n for n in sizes if differ(torch.arange(n + 1).double() / n).any()]
    return {
        "groups in another bucket": float(differ(rate_G).double().mean()),
        f"group sizes up to {sizes[-1]} for which a group can move": len(moved),
        "the smallest of them": moved[0],
    }


def _released_threshold(
    entropy_BT: Tensor, mask_BT: Tensor, incomplete: str = RELEASED.threshold_incomplete
) -> float:
    window_BT = window_entropy(entropy_BT, mask_BT, RELEASED.window, "after", incomplete)
    if incomplete == "undefined":  # a rollout without a window takes no part, instead of counting 0
        quantile_B = thresholds.rollout_quantiles(window_BT, mask_BT, RELEASED.threshold_quantile)
        return float(np.nanmedian(quantile_B.numpy()))
    return thresholds.median_rollout_quantile(window_BT, mask_BT, RELEASED.threshold_quantile)
