"""Curation: which traces of the pool the cold start learns from (section 3).

AdaCS takes, in every pass-rate bracket of every source, the traces whose length is nearest to
L_target(p) = (1 - p) L(0) + p L(1). CS-Vanilla takes as many per bracket, blind to length.

What the paper leaves open, and what is done here:
1. "Near the target" is a ranking, not a tolerance: the nearest traces fill the quota of a bracket.
2. A problem's nearest trace comes before any problem's second. Length alone would let the few
   problems whose traces all happen to be near the target fill a bracket with rephrasings of the
   same solution, and the model would learn those problems, not their difficulty.
3. CS-Vanilla spreads over problems in the same way, so that the two differ in length alone.
4. Sources (data sets; in the small world the presentations) get equal shares, and so do the
   brackets of a source. What one can't fill goes to the others in equal parts, and the report says
   so: the paper's data sets have between a thousand and some million rows.
5. A source without a problem of pass rate 0 (or 1) has no median there: the least-squares line
   through the medians of its brackets is read off at 0 (or 1); the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ares.config import CURATIONS
from ares.data.items import row_seed, source_of
from ares.errors import UserError
from ares.tables import TRACE, columns_of

#: Columns of the report on one bracket.
_REPORT = ["bracket", "asked", "candidates", "selected", "target_tokens", "note"]


def pass_rates(problems: pd.DataFrame, given: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Pass rate p (section 3) of every problem that got all its responses, in their order.

    A pass rate over the responses that happened to come would be of another kind.

    Args:
        given: the responses, `samples` side by side for a problem, counted by the index: correct
            (flag), n_tokens; where grading can fail, also ungradable (flag).

    Returns:
        The columns of the problems; samples, correct (counts), pass_rate (fraction), n_tokens (mean
        tokens of the responses, end token included); ungradable (count, among the wrong ones) where
        the responses have it.
    """
    groups = given.groupby(given.index // samples)
    table = problems.reset_index(drop=True).loc[list(groups.groups)]
    table = table.assign(samples=groups.size().astype("int64"))
    table["correct"] = groups["correct"].sum().astype("int64")
    table["pass_rate"] = table["correct"] / table["samples"]
    table["n_tokens"] = groups["n_tokens"].mean()
    if "ungradable" in given:
        table["ungradable"] = groups["ungradable"].sum().astype("int64")
    return table.reset_index(drop=True)


def target_length(pass_rate: float, ends: Mapping[float, float]) -> float:
    """L_target(p) = (1 - p) L(0) + p L(1), in tokens; `ends` holds L(0) and L(1)."""
    return (1 - pass_rate) * ends[0.0] + pass_rate * ends[1.0]


def end_lengths(traces: pd.DataFrame) -> tuple[dict[float, float], list[float]]:
    """L(0) and L(1) of a source, in tokens: its medians at pass rate 0 and 1.

    Also those pass rates that have no median and are read off the line of choice 5.
    """
    medians = traces.groupby("pass_rate")["n_tokens"].median()
    rates, lengths = medians.index.to_numpy(float), medians.to_numpy(float)
    slope, level = np.polyfit(rates, lengths, 1) if len(medians) > 1 else (0.0, lengths[0])
    # No trace is shorter than one token; a steep line through few brackets could say so.
    ends = {p: float(medians.get(p, max(1.0, level + slope * p))) for p in (0.0, 1.0)}
    return ends, [p for p in ends if p not in medians.index]


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


def with_pass_rates(pool: pd.DataFrame, pass_rates: pd.DataFrame) -> pd.DataFrame:
    """The traces of problems that have a pass rate, with it; UserError if there are none.

    Problems of which a request failed have no pass rate.
    """
    keys = ["problem_id", source_of(pool)]
    merged = pool.merge(pass_rates[[*keys, "pass_rate"]], on=keys, how="inner", validate="m:1")
    if merged.empty:
        raise UserError(
            "no trace of the pool is of a problem with a pass rate: pool and pass rates are of "
            "different runs; make both again"
        )
    return merged


def curate(
    traces: pd.DataFrame, size: int, samples: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select `size` traces for every curation, uniformly over sources and brackets k / `samples`.

    `traces` is the pool `with_pass_rates`; the seed decides between traces of equal distance, and
    what the baseline draws.

    Returns:
        The selections of both curations: curation, the columns of the problems, pass_rate, bracket
        (its pass rate), target_tokens (NaN for the baseline), habit, text, n_tokens. And the
        report: one row per curation, source and bracket with asked (its equal share), candidates,
        selected, target_tokens, note.
    """
    source = source_of(traces)
    candidates = traces[source].value_counts().sort_index()
    shares = equal_quotas(size, candidates.tolist())
    equal = equal_quotas(size, [size] * len(candidates))
    selected, report = [], []
    for curation in CURATIONS:
        for name, share, asked in zip(candidates.index, shares, equal, strict=True):
            own = traces[traces[source] == name]
            rng = np.random.default_rng(row_seed(seed, curation, name))
            chosen, rows = _curate_source(own, curation, share, asked, samples, rng)
            selected.append(chosen.assign(curation=curation))
            report.append(rows.assign(curation=curation, source=name))
    problem = traces.columns.drop([*TRACE, "pass_rate"])
    others = [name for name in columns_of("selection") if name not in columns_of("problems")]
    columns = [others[0], *problem, *others[1:]]
    return (
        pd.concat(selected, ignore_index=True)[columns],
        pd.concat(report, ignore_index=True)[["curation", "source", *_REPORT]],
    )


def selected(selection: pd.DataFrame, curation: str) -> pd.DataFrame:
    """The rows of one curation; UserError if there are none."""
    chosen = selection[selection["curation"] == curation].reset_index(drop=True)
    if chosen.empty:
        held = ", ".join(sorted(selection["curation"].unique()))
        raise UserError(f"the selection has no curation '{curation}'; there are {held}")
    return chosen


def _curate_source(
    traces: pd.DataFrame,
    curation: str,
    size: int,
    equal: int,
    samples: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Selection of `size` traces and report of one source, whose equal share is `equal`."""
    # In a random order, so that ties and the baseline owe nothing to the order of the pool.
    traces = traces.iloc[rng.permutation(len(traces))]
    ends, fitted = end_lengths(traces)
    bracket = np.rint(traces["pass_rate"].to_numpy() * samples).astype(int)
    counts = np.bincount(bracket, minlength=samples + 1)
    asked = equal_quotas(equal, [equal] * (samples + 1))
    selected, report = [], []
    for k, quota in enumerate(equal_quotas(size, counts.tolist())):
        target = target_length(k / samples, ends) if curation == "adacs" else np.nan
        own, candidates = traces[bracket == k], int(counts[k])
        # Without a target all distances are NaN, and the traces keep their random order.
        chosen = spread_over_problems(own, np.abs(own["n_tokens"].to_numpy() - target), quota)
        selected.append(chosen.assign(bracket=k / samples, target_tokens=target))
        notes = []
        if candidates == 0 < asked[k]:
            notes.append("empty: its share goes to the others")
        elif quota != asked[k]:
            notes.append("too few candidates" if quota < asked[k] else "takes what others lack")
        if curation == "adacs" and k / samples in fitted:
            notes.append(f"L({k // samples}) from the line through the medians")
        report.append((k / samples, asked[k], candidates, len(chosen), target, "; ".join(notes)))
    return pd.concat(selected), pd.DataFrame(report, columns=_REPORT)
