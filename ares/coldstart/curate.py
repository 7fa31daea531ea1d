"""Curation: which traces of the pool the cold start learns from (section 3).

AdaCS takes, in every pass-rate bracket of every source, the traces whose length is nearest to
L_target(p) = (1 - p) L(0) + p L(1). CS-Vanilla takes as many per bracket, blind to length.

What the paper leaves open, and what is done here:
1. "Near the target" is a ranking, not a tolerance: the nearest traces fill the quota of a bracket.
2. A problem's nearest trace comes before any problem's second. Length alone would let the few
   problems whose traces all happen to be near the target fill a bracket with rephrasings of the
   same solution, and the model would learn those problems, not their difficulty.
3. CS-Vanilla spreads over problems in the same way, so that the two differ in length alone.
4. Sources get equal shares. What a bracket can't fill goes to the other brackets of its source in
   equal parts; what a source can't fill is missing, and the report says so.
5. A source without a problem of pass rate 0 (or 1) has no median there: the least-squares line
   through the medians of its brackets is read off at 0 (or 1); the report says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ares.errors import UserError
from ares.seeds import row_seed

CURATIONS = ("adacs", "cs-vanilla")
SELECTION = [
    *("curation", "problem_id", "level", "k", "presentation", "numbers", "target"),
    *("pass_rate", "bracket", "target_tokens", "habit", "text", "n_tokens"),
]


@dataclass(frozen=True)
class EndLengths:
    """L(0) and L(1) of a source, in tokens; `fitted` lists those pass rates without a median."""

    at_0: float
    at_1: float
    fitted: tuple[float, ...] = ()


def target_length(pass_rate: float, ends: EndLengths) -> float:
    """L_target(p) = (1 - p) L(0) + p L(1), in tokens.

    >>> target_length(0.25, EndLengths(at_0=100.0, at_1=20.0))
    80.0
    """
    return (1 - pass_rate) * ends.at_0 + pass_rate * ends.at_1


def end_lengths(traces: pd.DataFrame) -> EndLengths:
    """Median lengths at pass rate 0 and 1 of one source; see choice 5 where there are none.

    Args:
        traces: columns pass_rate (fraction) and n_tokens; at least one row.
    """
    medians = traces.groupby("pass_rate")["n_tokens"].median()
    missing = tuple(p for p in (0.0, 1.0) if p not in medians.index)
    if not missing:
        return EndLengths(float(medians[0.0]), float(medians[1.0]))
    rates, lengths = medians.index.to_numpy(float), medians.to_numpy(float)
    slope, level = np.polyfit(rates, lengths, 1) if len(medians) > 1 else (0.0, lengths[0])
    # No trace is shorter than one token; a steep line through few brackets could say so.
    known = {p: float(medians.get(p, max(1.0, level + slope * p))) for p in (0.0, 1.0)}
    return EndLengths(known[0.0], known[1.0], missing)


def equal_quotas(size: int, candidates: list[int]) -> list[int]:
    """Share `size` equally over brackets that hold so many candidates.

    Brackets that have less than their share give all they have, and the others share the rest;
    a remainder of less than one each goes to the first.

    >>> equal_quotas(10, [9, 0, 2, 9])
    [4, 0, 2, 4]
    """
    left, quotas = min(size, sum(candidates)), list(candidates)
    open_ones = sorted(range(len(candidates)), key=candidates.__getitem__)
    # The smallest brackets first: what they lack raises the share of all that come after.
    while open_ones and candidates[open_ones[0]] <= left // len(open_ones):
        left -= candidates[open_ones.pop(0)]
    for place, i in enumerate(sorted(open_ones)):
        quotas[i] = left // len(open_ones) + (place < left % len(open_ones))
    return quotas


def spread_over_problems(traces: pd.DataFrame, distance: np.ndarray, number: int) -> pd.DataFrame:
    """The `number` traces of least distance, each problem's first before any problem's second.

    Equal distances keep the order of the rows.
    """
    ranked = traces.assign(_distance=distance).sort_values("_distance", kind="stable")
    turn = ranked.groupby("problem_id", sort=False).cumcount()
    chosen = ranked.assign(_turn=turn).sort_values(["_turn", "_distance"], kind="stable")
    return chosen.head(number).drop(columns=["_distance", "_turn"])


def with_pass_rates(
    pool: pd.DataFrame, pass_rates: pd.DataFrame, source: str = "presentation"
) -> pd.DataFrame:
    """The pool with the pass rate of every trace's problem.

    Raises:
        UserError: a problem of the pool has no pass rate.
    """
    keys = ["problem_id", source]
    merged = pool.merge(pass_rates[[*keys, "pass_rate"]], on=keys, how="left", validate="m:1")
    if merged["pass_rate"].isna().any():
        missing = merged.loc[merged["pass_rate"].isna(), "problem_id"].iloc[0]
        raise UserError(
            f"problem {missing} of the pool has no pass rate: pool and pass rates are of different "
            "runs; make both again"
        )
    return merged


def curate(
    traces: pd.DataFrame,
    curation: str,
    size: int,
    samples: int,
    seed: int,
    source: str = "presentation",
    kept: Sequence[str] = SELECTION,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select about `size` traces, uniformly over the sources and the brackets k / `samples`.

    Args:
        traces: the pool `with_pass_rates`.
        curation: 'adacs', or 'cs-vanilla' for the baseline.
        seed: decides between traces of equal distance, and what the baseline draws.
        source: the column that names the source of a trace.
        kept: columns of the selection; the source is added where it is not among them.

    Returns:
        The selection (columns `kept`; bracket is its pass rate, target_tokens is NaN for the
        baseline), and the report: one row per source and bracket with curation, source, bracket,
        asked (its equal share), candidates, selected, target_tokens, note.

    Raises:
        UserError: unknown curation, or an empty pool.
    """
    if curation not in CURATIONS:
        raise UserError(f"unknown curation '{curation}'; known: {', '.join(CURATIONS)}")
    if traces.empty:
        raise UserError("the pool of traces is empty: nothing can be selected")
    names = sorted(traces[source].unique())
    selected, report = [], []
    for place, name in enumerate(names):
        share = size // len(names) + (place < size % len(names))
        own = traces[traces[source] == name]
        rng = np.random.default_rng(row_seed(seed, curation, name))
        chosen, rows = _curate_source(own, curation, share, samples, rng)
        selected.append(chosen)
        report.append(rows.assign(curation=curation, source=name))
    table = pd.concat(selected, ignore_index=True).assign(curation=curation)
    columns = [*kept, *({source} - set(kept))]
    told = ["curation", "source", "bracket", "asked", "candidates", "selected", "target_tokens"]
    return table[columns], pd.concat(report, ignore_index=True)[[*told, "note"]]


def _curate_source(
    traces: pd.DataFrame, curation: str, size: int, samples: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Selection and report of one source."""
    # In a random order, so that ties and the baseline owe nothing to the order of the pool.
    traces = traces.iloc[rng.permutation(len(traces))]
    ends = end_lengths(traces)
    bracket = np.rint(traces["pass_rate"].to_numpy() * samples).astype(int)
    counts = np.bincount(bracket, minlength=samples + 1)
    asked = equal_quotas(size, [size] * (samples + 1))
    selected, report = [], []
    for k, quota in enumerate(equal_quotas(size, counts.tolist())):
        target = target_length(k / samples, ends) if curation == "adacs" else np.nan
        own = traces[bracket == k]
        if curation == "adacs":
            distance = np.abs(own["n_tokens"].to_numpy() - target)
        else:
            distance = np.zeros(len(own))
        chosen = spread_over_problems(own, distance, quota)
        selected.append(chosen.assign(bracket=k / samples, target_tokens=target))
        notes = [] if quota == asked[k] else [_why(quota, asked[k], int(counts[k]))]
        if curation == "adacs" and k / samples in ends.fitted:
            notes.append(f"L({k // samples}) from the line through the medians")
        report.append(
            (k / samples, asked[k], int(counts[k]), len(chosen), target, "; ".join(notes))
        )
    columns = ["bracket", "asked", "candidates", "selected", "target_tokens", "note"]
    return pd.concat(selected), pd.DataFrame(report, columns=columns)


def _why(quota: int, asked: int, candidates: int) -> str:
    if candidates == 0:
        return "empty: its share goes to the others"
    return "too few candidates" if quota < asked else "takes what others lack"
