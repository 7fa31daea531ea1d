"""What the small world's problems look like, and what the base model makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pandas as pd

from ares.analysis import stats
from ares.analysis.difficulty import add_buckets
from ares.method.difficulty import BUCKETS
from ares.world.problem import Problem
from ares.world.prompts import messages

#: A picture may cost this much of the pass rate (fraction) and still count as the same problem.
COST = 0.1


def examples(problems: pd.DataFrame, per_level: int = 2) -> pd.DataFrame:
    """The first problems of every level: level, problem, numbers, target, text, image.

    text and image are the words of the two presentations.
    """
    rows = problems[problems["presentation"] == "image"].groupby("level", sort=False)
    return pd.DataFrame([_example(row) for row in rows.head(per_level).itertuples()])


def _example(row) -> dict[str, object]:
    problem = Problem(tuple(int(number) for number in row.numbers), int(row.target))
    words = {kind: messages(problem, kind)[1]["content"][-1]["text"] for kind in ("text", "image")}
    numbers = " ".join(map(str, problem.numbers))
    own = {"level": row.level, "problem": problem.id, "numbers": numbers}
    return {**own, "target": problem.target, **words}


def typical(rollouts: pd.DataFrame) -> Iterator[tuple]:
    """One right and one wrong response of middle length per level, where there are both."""
    for _, rows in rollouts.groupby(["level", "correct"], sort=False):
        ordered = rows.sort_values(["n_tokens", "rollout_id"])
        yield next(ordered.iloc[len(rows) // 2 : len(rows) // 2 + 1].itertuples())


def bucket_counts(rollouts: pd.DataFrame) -> pd.DataFrame:
    """Number of groups by level (rows) and by bucket of eq. 10 (columns)."""
    groups = add_buckets(rollouts).drop_duplicates(["problem_id", "presentation"])
    counts = groups.groupby(["level", "bucket"], sort=False).size().unstack(fill_value=0)
    return counts.reindex(columns=list(BUCKETS), fill_value=0)


def pass_rate_panels(accuracy: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """The data of the figure: pass rates, and the share of the groups of a level in each bucket.

    Args:
        accuracy: from `stats.means`, by level and presentation.
        counts: from `bucket_counts`.
    """
    total = counts.sum(axis=1)
    shares = counts.div(total, axis=0).melt(ignore_index=False, var_name="bucket")
    shares = shares.reset_index().assign(rows=lambda rows: rows["level"].map(total))
    return pd.concat(
        [accuracy.assign(panel="pass rate"), shares.assign(panel="share of groups")],
        ignore_index=True,
    )


def claims(rollouts: pd.DataFrame, resampler: stats.Resampler) -> dict[str, stats.Estimate]:
    """What later notebooks need of the world, as differences of pass rates above zero if true."""

    def pass_rate(column: str, value: str):
        return stats.mean(resampler, rollouts, "right", rollouts[column] == value)

    found = {
        f"{a} is passed more often than {b}": pass_rate("level", a) - pass_rate("level", b)
        for a, b in pairwise(dict.fromkeys(rollouts["level"]))
    }
    lost = pass_rate("presentation", "text") - pass_rate("presentation", "image")
    found[f"a picture costs less than {COST} of the pass rate"] = COST - lost
    return {text: resampler.estimate(draws) for text, draws in found.items()}
