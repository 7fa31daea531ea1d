"""Scores of a benchmark from graded responses, with intervals.

Choices:
1. What has no response, no answer, or can't be graded counts as not right, and is counted apart: a
   score over the rest would be that of an easier benchmark.
2. With several samples, a score is the mean over samples, of the whole score for `worst` and
   `strict`: sample 1 of every variant is one run of the benchmark, sample 2 another.
3. Intervals are of the questions: groups are drawn with replacement, a group brings all its
   variants and samples. They do not hold the noise of training or of another prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from ares.errors import UserError
from ares.evaluation.registry import Benchmark
from ares.stats import NAN, Resampler, ratio
from ares.tables import columns_of

#: Of the bootstrap: resamples, coverage, seed.
RESAMPLES, COVERAGE, SEED = 2000, 0.95, 1


def scores(rows: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """One row per metric; the first is the benchmark's own.

    Args:
        rows: one per sample of an item: id, group, variant, sample, status, correct, finish,
            n_tokens.

    Returns:
        The table of scores, without model and source: score and interval in percent; n_items,
        n_groups; samples per item; n_tokens, mean tokens per response where known; finished, share
        of responses that ended by themselves; no_answer, ungradable and failed (no response),
        numbers of rows.

    Raises:
        UserError: no rows, items with different numbers of samples, variants that are missing.
    """
    if rows.empty:
        raise UserError(f"benchmark {benchmark.name}: there are no responses to score")
    samples = rows.groupby("id", sort=False)["sample"].nunique()
    if samples.nunique() > 1 or rows.duplicated(["id", "sample"]).any():
        raise UserError(
            f"benchmark {benchmark.name}: items have {samples.min()} to {samples.max()} samples in "
            f"{len(rows)} rows; score rows of one run only"
        )
    answered = rows["status"] != "failed"
    shared = {
        "n_items": len(samples),
        "n_groups": rows["group"].nunique(),
        "samples": int(samples.iloc[0]),
        "n_tokens": float(rows["n_tokens"].astype(float).mean()),
        "finished": float((rows.loc[answered, "finish"] == "stop").mean()),
        "no_answer": int((rows["status"] == "no answer").sum()),
        "ungradable": int((rows["status"] == "ungradable").sum()),
        "failed": int((~answered).sum()),
    }
    found = []
    for metric, score in METRICS[benchmark.metric].items():
        units = score(rows)
        share = units["total"].sum() / units["number"].sum()
        percent = (100 * part for part in (share, *interval(units)))
        name = metric.replace("@k", f"@{shared['samples']}")
        found.append((benchmark.name, name, *percent, *shared.values()))
    return pd.DataFrame(found, columns=columns_of("scores", "benchmark")[1:-1])


def average(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over items and samples; one row per group: total right, number of responses."""
    return _per_group(rows.set_index("group")["correct"])


def worst(rows: pd.DataFrame) -> pd.DataFrame:
    """A group counts in a sample if all its variants are right (DynaMath's worst case)."""
    return _per_group(rows.groupby(["group", "sample"], sort=False)["correct"].all())


def _per_group(score: pd.Series) -> pd.DataFrame:
    groups = score.groupby("group", sort=False)
    return pd.DataFrame({"total": groups.sum().astype(float), "number": groups.size()})


def mastery(rows: pd.DataFrame, steps: str) -> pd.DataFrame:
    """We-Math's score with rote memorisation (arXiv 2407.01284, section 3).

    A problem of two or three steps is asked whole ("2steps_multi") and step by step ("2steps_1").
    All steps and the whole right: complete mastery, 1. All steps right, the whole wrong: inadequate
    generalisation, 1/2. Else 0: insufficient knowledge (whole wrong), or rote memorisation (whole
    right although a step is wrong).

    Args:
        steps: "all" in the strict score. "any" in the loose one, where the whole right with at
            least one step right is mastery too.
    """
    kind = rows["variant"].str.partition("_")
    # Problems of two and of three steps are numbered apart.
    table = rows.assign(problem=rows["group"].astype(str) + "/" + kind[0], whole=kind[2] == "multi")
    keys = ["group", "problem", "sample"]
    whole = table[table["whole"]].groupby(keys, sort=False)["correct"]
    parts = table[~table["whole"]].groupby(keys, sort=False)["correct"]
    both = parts.agg(["all", "any", "size"]).join(
        whole.agg(all_whole="all", size_whole="size"), how="outer"
    )
    named = both.index.get_level_values("problem").str.extract(r"/(\d+)steps?$")[0]
    expected = pd.to_numeric(named).to_numpy()
    bad = both.isna().any(axis=1) | (both["size"] != expected) | (both["size_whole"] != 1)
    if bad.any():
        problem = both.index[bad.to_numpy()][0][1]
        raise UserError(
            f"problem {problem}: not one whole question with all its steps; variants are named "
            "2steps_1, 2steps_2, 2steps_multi and so on"
        )
    both = both.astype(bool)
    score = np.where(both["all_whole"], both[steps], both["all"] * 0.5).astype(float)
    # One row per group: two problems of one number are drawn together, at little cost.
    return _per_group(pd.Series(score, index=both.index))


#: The metrics of a benchmark by the name of its own, which comes first.
METRICS: dict[str, dict[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "pass@1": {"pass@1": average},
    "average@k": {"average@k": average},
    "worst": {"worst": worst, "average": average},
    "strict": {
        "strict": partial(mastery, steps="all"),
        "loose": partial(mastery, steps="any"),
        "average": average,
    },
}


def interval(units: pd.DataFrame) -> tuple[float, float]:
    """Percentile interval of a score, a fraction, when its groups are drawn anew.

    Args:
        units: total and number of every group.

    Returns:
        Low and high; NaN where there is only one group.
    """
    if len(units) < 2:
        return NAN, NAN
    groups = pd.Series(np.arange(len(units)))
    resampler = Resampler(groups, groups * 0, RESAMPLES, COVERAGE, SEED)
    found = resampler.estimate(ratio(*resampler.sums(groups, units["total"], units["number"])))
    return found.low, found.high
