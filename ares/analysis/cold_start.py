"""Finding F7: how far the length of each cold start's responses follows difficulty.

Choices:
1. Difficulty is one minus the base model's pass rate of a prompt (problem and presentation).
2. How far length follows difficulty is the least-squares slope of a prompt's mean response length
   on that pass rate, in tokens per unit of pass rate: the steeper it falls, the more it follows.
3. A model that writes more everywhere has a steeper slope for that alone. The same slope of the
   logarithm of the length (a rise in proportion) is reported beside it and decides nothing.
4. The pass rate of the models' prompts is measured on the base model's own test responses: for the
   base model itself, length and pass rate share their noise; for the other two they do not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ares.errors import UserError
from ares.stats import Estimate, Resampler, slope

#: The models of the cold start, in the order of the figures.
MODELS = ("base", "cs-vanilla", "adacs")
PROMPT = ["problem_id", "presentation"]


def with_base_pass_rate(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Evaluations of the three models, each prompt with the base model's pass rate.

    Adds pass_rate (fraction), accuracy (fraction) and log_tokens (natural log of the mean length).

    Raises:
        UserError: a model is missing, or was tested on other problems than the base.
    """
    missing = [arm for arm in MODELS if not (evaluation["arm"] == arm).any()]
    if missing:
        raise UserError(f"the evaluation table holds no arm {', '.join(missing)}: evaluate it")
    table = evaluation[evaluation["arm"].isin(MODELS)]
    table = table.assign(
        accuracy=table["correct"] / table["samples"], log_tokens=np.log(table["n_tokens"])
    )
    base = table.loc[table["arm"] == "base", [*PROMPT, "accuracy"]]
    joined = table.merge(base.rename(columns={"accuracy": "pass_rate"}), on=PROMPT, how="left")
    if joined["pass_rate"].isna().any() or len(joined) != len(MODELS) * len(base):
        raise UserError("the three models were tested on different problems: evaluate them again")
    return joined


def slopes(table: pd.DataFrame, resampler: Resampler, column: str = "n_tokens") -> pd.DataFrame:
    """Slope of a column on the base pass rate, by presentation ('all' pools them) and arm.

    Columns: presentation, arm, value, low, high (column units per unit of pass rate).
    """
    rows = []
    for presentation, part in _parts(table):
        for arm in MODELS:
            rows_of_arm = part[part["arm"] == arm]
            found = resampler.estimate(slope(resampler, rows_of_arm, "pass_rate", column))
            rows.append((presentation, arm, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=["presentation", "arm", "value", "low", "high"])


def steeper(
    table: pd.DataFrame,
    resampler: Resampler,
    of: str = "adacs",
    against: str = "cs-vanilla",
    column: str = "n_tokens",
) -> dict[str, Estimate]:
    """F7: by how much more the length of one model falls with the pass rate than that of another.

    Slope of `against` minus slope of `of`, by presentation ('all' pools them): above zero if `of`
    follows difficulty more. Both models answer the same problems, so the difference is paired.
    """
    found = {}
    for presentation, part in _parts(table):
        more, less = (
            slope(resampler, part[part["arm"] == arm], "pass_rate", column) for arm in (of, against)
        )
        found[presentation] = resampler.estimate(less - more)
    return found


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All rows, then the rows of each presentation."""
    yield "all", table
    yield from table.groupby("presentation", sort=False)
