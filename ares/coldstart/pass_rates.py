"""Pass rates of the base model on the problems of the cold start (the paper: 8 samples each)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ares.config import Scale
from ares.data.items import Problems
from ares.sampling.rollouts import responses


def measure(
    scale: Scale, problems: Problems, store: str | Path, progress: str = ""
) -> pd.DataFrame:
    """Sample and grade responses to every problem, and print how it went.

    Args:
        store: see `responses`.

    Returns:
        See `pass_rates`.

    Raises:
        UserError: as `responses`.
    """
    part = scale.cold_start
    given = responses(scale, part, problems, scale.model, store, progress)
    table = pass_rates(problems.table, given, part.samples)
    print(f"{len(table)} problems, mean pass rate {table['pass_rate'].mean():.3f}")
    return table


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
