"""How much the words' own ambiguity decides finding F1: entropies under another language.

A token's entropy splits by the chain rule into the entropy over classes (each lexical slot is one
class, every other token its own) and the entropy of the word within its slot:

    H = H(class) + sum over slots of p(slot) * H(word | slot)

The world file says how words are drawn within a slot. A model that has learned the language draws
them so too, and its entropy under another Zipf exponent follows without training it again.

Assumptions:
1. Within a slot the model's words follow the language, whatever came before. `chain_rule_error`
   reports how far the measured entropies are from what that says at the shipped exponents.
2. Nothing else changes: the same responses, the same labels, the same class probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ares.analysis import detection
from ares.analysis.stats import Resampler
from ares.world.language import zipf
from ares.world.settings import Language

_MASS = "p_"  # columns of the token table: probability of a slot


def zipf_entropy(count: int, exponent: float) -> float:
    """Entropy in nats of `count` ranks drawn with probability proportional to rank ** -exponent.

    >>> round(zipf_entropy(6, 0.0), 4)  # ln 6
    1.7918
    """
    probability = zipf(count, exponent)
    known = probability[probability > 0]
    return float(-(known * np.log(known)).sum())


def entropy_under(tokens: pd.DataFrame, language: Language) -> np.ndarray:
    """Entropy of every token if words were drawn as `language` says, in nats, float32.

    Args:
        tokens: the token table (class_entropy and the p_<slot> columns are used).
    """
    total = tokens["class_entropy"].to_numpy(float).copy()
    for column in tokens.columns[tokens.columns.str.startswith(_MASS)]:
        slot = column.removeprefix(_MASS)
        within = zipf_entropy(len(language.words(slot)), language.exponent(slot))
        total += tokens[column].to_numpy(float) * within
    return total.astype(np.float32)


def chain_rule_error(tokens: pd.DataFrame, language: Language) -> dict[str, float]:
    """Entropy by the chain rule against the measured one, at the language of the base model.

    Returns:
        mean (signed), mean_absolute, percentile_95 and largest difference in nats, over the tokens
        where a slot has at least 1 % probability, and their share of all tokens; correlation over
        all tokens.
    """
    predicted, measured = entropy_under(tokens, language), tokens["entropy"].to_numpy(float)
    lexical = tokens.filter(regex=f"^{_MASS}").sum(axis=1).to_numpy() >= 0.01
    difference = (predicted - measured)[lexical]
    size = np.abs(difference)
    return {
        "share_of_tokens": float(lexical.mean()),
        "mean": float(difference.mean()),
        "mean_absolute": float(size.mean()),
        "percentile_95": float(np.quantile(size, 0.95)),
        "largest": float(size.max()),
        "correlation": float(np.corrcoef(predicted, measured)[0, 1]),
    }


def grid_of(language: Language, others: Sequence[float] = (0, 1, 1.75, 5)) -> dict[str, list]:
    """Exponents to try in each slot: some, and the one that the language has."""
    own = {"filler": language.filler_exponent, "marker": language.marker_exponent}
    return {slot: sorted({*map(float, others), exponent}) for slot, exponent in own.items()}


def gains(
    sets: Sequence[detection.LabelSet],
    language: Language,
    exponents: Mapping[str, Sequence[float]],
    percentiles: Sequence[float],
    resampler: Resampler,
) -> pd.DataFrame:
    """Finding F1 for every pair of filler and marker exponents.

    Args:
        exponents: {"filler": [...], "marker": [...]}; 0 is the most noise (all words alike).
        percentiles: rising; those from `detection.HIGH` on are averaged.

    Returns:
        label, filler_exponent, marker_exponent, f1_single, f1_windows (windows 4 and 8) and
        f1_long (16 and 32), each a mean over the high percentiles, gain = f1_windows - f1_single
        with low and high, and verdict (of "the gain is above zero").
    """
    high = [percentile for percentile in percentiles if percentile >= detection.HIGH]
    sizes = (1, *detection.GOOD, *detection.LONG)
    rows = []
    for filler in exponents["filler"]:
        for marker in exponents["marker"]:
            other = replace(language, filler_exponent=filler, marker_exponent=marker)
            changed = [(t.assign(under=entropy_under(t, other)), labels) for t, labels in sets]
            for label, found in detection.sweep(changed, sizes, high, resampler, "under").items():
                single, good, long = (
                    detection.mean_f1(found, windows, high)
                    for windows in ((1,), detection.GOOD, detection.LONG)
                )
                gain = resampler.estimate(good - single)
                rows.append(
                    {
                        "label": label,
                        "filler_exponent": filler,
                        "marker_exponent": marker,
                        "f1_single": single[0],
                        "f1_windows": good[0],
                        "f1_long": long[0],
                        "gain": gain.value,
                        "low": gain.low,
                        "high": gain.high,
                        "verdict": gain.verdict,
                    }
                )
    return pd.DataFrame(rows)


def summary(grid: pd.DataFrame, language: Language) -> list[str]:
    """One sentence per label: what F1 is worth in the shipped language, and over all of the grid.

    Args:
        grid: from `gains`.
    """
    here = (grid["filler_exponent"] == language.filler_exponent) & (
        grid["marker_exponent"] == language.marker_exponent
    )
    lines = []
    for label, rows in grid.groupby("label", sort=False):
        shipped = rows.loc[here[rows.index], "verdict"].item()
        signs = sorted(set(rows["verdict"]) - {"undecided"})
        everywhere = ", ".join(signs) or "undecided"
        lines.append(f"{label}: {shipped} for the shipped language; over the grid: {everywhere}")
    return lines
