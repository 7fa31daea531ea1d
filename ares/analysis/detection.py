"""Fig. 2a: window entropy as a detector of tokens that matter.

A token is selected when its window entropy reaches a percentile of the window entropies of all
tokens that are looked at (App. H: one quantile over all tokens of the batch). F1 compares what is
selected with a label.

Choices:
1. Ties at the threshold are all selected, so a percentile may select more than its share; the
   share really selected is reported.
2. A window that runs over the end is what `incomplete` says (`ares.method.windows`). "shorter" is
   the default: responses here have tens of tokens, and leaving such windows undefined would count
   every labelled token near the end as missed, the more of them the longer the window.
3. The intervals hold the thresholds fixed: what is drawn again is the problems, not the corpus
   that set the thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ares.analysis import tables
from ares.errors import UserError
from ares.stats import Estimate, Resampler, ratio

#: The percentiles that count as high in the verdicts.
HIGH = 90
#: The windows the paper calls good, and those it calls too long (tokens).
GOOD, LONG = (4, 8), (16, 32)


@dataclass(frozen=True)
class Detection:
    """Counts per resample (R, row 0 the sample itself) and percentile (Q)."""

    hits_RQ: np.ndarray
    selected_RQ: np.ndarray
    labelled_R1: np.ndarray
    tokens_R1: np.ndarray

    @property
    def precision_RQ(self) -> np.ndarray:
        return ratio(self.hits_RQ, self.selected_RQ)

    @property
    def recall_RQ(self) -> np.ndarray:
        return ratio(self.hits_RQ, np.broadcast_to(self.labelled_R1, self.hits_RQ.shape))

    @property
    def f1_RQ(self) -> np.ndarray:
        """2 hits / (selected + labelled)."""
        return ratio(2 * self.hits_RQ, self.selected_RQ + self.labelled_R1)


#: Tokens and the labels they carry: name -> bool per token.
LabelSet = tuple[pd.DataFrame, dict[str, np.ndarray]]


def label_sets(tokens: pd.DataFrame, causal: pd.DataFrame | None) -> list[LabelSet]:
    """The label sets there are, with the tokens each was given to.

    lexicon: the token is in the reasoning lexicon; decision: it opens the choice of a pair or of
    an operation, which a grammar tells; causal: the choice made here moves the pass rate. Causal
    labels exist for some rollouts only, or (None) for none.

    Raises:
        UserError: the causal labels do not cover their rollouts.
    """
    everywhere = {"lexicon": tokens["lexicon"].to_numpy(bool)}
    if "decision" in tokens:
        everywhere["decision"] = (tokens["decision"] != "").to_numpy()
    if causal is None:
        return [(tokens, everywhere)]
    tried = tokens[tokens["rollout_id"].isin(causal["rollout_id"])]
    joined = tried.merge(causal, on=["rollout_id", "position"], how="left", validate="1:1")
    if joined["causal"].isna().any():
        raise UserError("causal labels do not cover their rollouts; make the causal table again")
    return [(tokens, everywhere), (joined, {"causal": joined["causal"].to_numpy(bool)})]


def thresholds(window_N: np.ndarray, percentiles: Sequence[float]) -> np.ndarray:
    """The percentiles of all defined window entropies, (Q,) nats.

    Raises:
        UserError: percentiles that do not rise, or no window is defined.
    """
    if list(percentiles) != sorted(set(percentiles)):
        raise UserError(f"percentiles {list(percentiles)}: give each once, in rising order")
    known = window_N[~np.isnan(window_N)].astype(float)
    if not len(known):
        raise UserError("no token has a defined window: all rollouts are shorter than the window")
    return np.quantile(known, np.asarray(percentiles) / 100)


def detect(
    window_N: np.ndarray,
    labels: Mapping[str, np.ndarray],
    problem_id: pd.Series,
    percentiles: Sequence[float],
    resampler: Resampler,
) -> dict[str, Detection]:
    """Score "window entropy reaches the percentile" as a detector of each label.

    Args:
        window_N: window entropies in nats, NaN where undefined: never selected.
        labels: name -> bool per token.
    """
    cuts_Q = thresholds(window_N, percentiles)
    # A token passes the first `passed` thresholds, so tokens counted by how many they pass, summed
    # from the top, are the selected of every percentile at once. NaN passes none.
    passed_N = np.searchsorted(cuts_Q, np.nan_to_num(window_N.astype(float), nan=-1), side="right")
    problem_N, problems = resampler.index(problem_id), resampler.draws_RC.shape[1]

    def reached(mask_N: np.ndarray) -> np.ndarray:
        cell = problem_N[mask_N] * (len(cuts_Q) + 1) + passed_N[mask_N]
        table = np.bincount(cell, minlength=problems * (len(cuts_Q) + 1)).reshape(problems, -1)
        return resampler.draws_RC @ table[:, ::-1].cumsum(1)[:, ::-1]

    all_RQ = reached(np.ones(len(passed_N), bool))
    found = {name: reached(label_N) for name, label_N in labels.items()}
    # Column 0 counts every token of the mask, whatever it passes.
    return {
        name: Detection(counts_RQ[:, 1:], all_RQ[:, 1:], counts_RQ[:, :1], all_RQ[:, :1])
        for name, counts_RQ in found.items()
    }


def sweep(
    sets: Sequence[LabelSet],
    sizes: Sequence[int],
    percentiles: Sequence[float],
    resampler: Resampler,
    column: str = "entropy",
    incomplete: str = "shorter",
) -> dict[str, dict[int, Detection]]:
    """Every label with every window size: label -> window -> detection.

    Args:
        column: the token entropies (nats) that the windows average.
    """
    found: dict[str, dict[int, Detection]] = {}
    for tokens, labels in sets:
        for size in sizes:
            window_N = tables.windows(tokens, size, column, incomplete)
            scored = detect(window_N, labels, tokens["problem_id"], percentiles, resampler)
            for name, detection in scored.items():
                found.setdefault(name, {})[size] = detection
    return found


def mean_f1(
    found: Mapping[int, Detection],
    windows: Sequence[int],
    percentiles: Sequence[float],
    high: bool = True,
) -> np.ndarray:
    """F1 averaged over windows and the high (or the other) percentiles, (R + 1,)."""
    chosen = np.array([(percentile >= HIGH) == high for percentile in percentiles])
    return np.mean([found[window].f1_RQ[:, chosen].mean(1) for window in windows], axis=0)


def claims(
    found: Mapping[int, Detection], percentiles: Sequence[float], resampler: Resampler
) -> dict[str, Estimate]:
    """What Fig. 2a says of one label set, as differences of F1 that are above zero if it is so."""

    def f1(windows: Sequence[int], high: bool = True) -> np.ndarray:
        return mean_f1(found, windows, percentiles, high)

    gain_high = f1(GOOD) - f1((1,))
    differences = {
        f"windows 4-8 beat single tokens from the {HIGH}th percentile on": gain_high,
        "they beat them below it too": f1(GOOD, high=False) - f1((1,), high=False),
        "the gain is larger at high percentiles": gain_high
        - (f1(GOOD, high=False) - f1((1,), high=False)),
        "windows 4-8 beat windows 16-32 at high percentiles": f1(GOOD) - f1(LONG),
    }
    return {text: resampler.estimate(draws) for text, draws in differences.items()}
