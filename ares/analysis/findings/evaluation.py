"""Quantities on the test problems, model against model: F3 (fixed threshold), F7, F8, F9, A1, A2.

Choices:
1. A value of several cells (level and presentation) is the plain mean of the cells.
2. Models that training starts from are one each: compared with an arm, they stay the same for
   every seed of it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ares.analysis import stats
from ares.analysis.findings.run import Measured, Run, named, nothing, quantity
from ares.errors import UserError

#: Arms that are one model, whatever the seed of the run that starts from it.
STARTS = ("base", "adacs", "cs-vanilla")
#: The rule book's names of the columns.
COLUMNS = {"accuracy": "accuracy", "length": "n_tokens", "hwe": "hwe"}
PROMPT = ["problem_id", "presentation"]


@quantity("seeds-and-problems")
def test_difference(run: Run, of: str, against: str, column: str, levels: str) -> Measured:
    """Mean over test problems of the arm `of` minus that of `against`, paired by seed and problem.

    Args:
        column: accuracy (fraction), length (tokens) or hwe (tokens).
        levels: one level, or "all".
    """
    models, missing = _models(run, of, against)
    if missing:
        return nothing(missing)
    rows = {
        key: table if levels == "all" else table[table["level"] == levels]
        for key, table in models.items()
    }
    value = {
        key: cell_mean(run.tests, table, named(COLUMNS, column)) for key, table in rows.items()
    }
    fixed = next((key for key in models if key[0] == against), None) if against in STARTS else None
    values = {
        seed: value[of, seed] - value[fixed or (against, seed)]
        for arm, seed in models
        if arm == of and (fixed or (against, seed) in models)
    }
    return run.over_seeds(values, pd.concat(rows.values()))


def cell_mean(resampler: stats.Resampler, table: pd.DataFrame, column: str) -> np.ndarray:
    """Mean of the means of every level and presentation, (R + 1,); NaN for an empty table.

    Args:
        table: one model's rows.
    """
    cells = [
        stats.mean(resampler, rows, column)
        for _, rows in table.groupby(["level", "presentation"], sort=True)
    ]
    return np.mean(cells, axis=0) if cells else np.full(len(resampler.draws_RC), np.nan)


@quantity("problems")
def length_slope_on_pass_rate(run: Run, of: str, against: str) -> Measured:
    """F7: slope of length on the base model's pass rate, of one model minus of another.

    Tokens per unit of pass rate. The difference of two slopes on the same axis is the slope of the
    difference.
    """
    models, missing = _models(run, of, against, "base")
    if missing:
        return nothing(missing)
    more, less, base = (_only(models, arm) for arm in (of, against, "base"))
    table = base[[*PROMPT, "level", "accuracy"]].merge(
        more[[*PROMPT, "n_tokens"]].merge(less[[*PROMPT, "n_tokens"]], on=PROMPT), on=PROMPT
    )
    table["difference"] = table["n_tokens_x"] - table["n_tokens_y"]
    slope = stats.slope(run.tests, table, "accuracy", "difference")
    return run.over_problems(run.tests.estimate(slope), table)


@quantity("problems")
def length_range_of_models(run: Run, of: str, against: str) -> Measured:
    """F7: length on hard minus easy test problems, of one model minus of another (tokens)."""
    models, missing = _models(run, of, against)
    if missing:
        return nothing(missing)

    def spread(table: pd.DataFrame) -> np.ndarray:
        easy, hard = (
            cell_mean(run.tests, table[table["level"] == level], "n_tokens")
            for level in ("easy", "hard")
        )
        return hard - easy

    more, less = (_only(models, arm) for arm in (of, against))
    return run.over_problems(run.tests.estimate(spread(more) - spread(less)), more)


def _models(run: Run, *arms: str) -> tuple[dict[tuple[str, int], pd.DataFrame], str]:
    """Rows of every model of some arms by (arm, seed), and which arms there are none of."""
    every = run.once("models", lambda: models_of(run.table("evaluation")))
    absent = [arm for arm in arms if all(key[0] != arm for key in every)]
    chosen = {key: rows for key, rows in every.items() if key[0] in arms}
    return chosen, f"no model of {', '.join(absent)}" if absent else ""


def _only(models: dict[tuple[str, int], pd.DataFrame], arm: str) -> pd.DataFrame:
    """The rows of an arm that is one model."""
    found = [rows for key, rows in models.items() if key[0] == arm]
    if len(found) != 1:
        raise UserError(f"evaluation: {arm} has {len(found)} models where one is compared")
    return found[0]


def models_of(evaluation: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """The evaluation of every model by (arm, seed), with `accuracy` (fraction).

    Raises:
        UserError: models were tested on different problems, so that they can't be compared.
    """
    table = evaluation.assign(accuracy=evaluation["correct"] / evaluation["samples"])
    models = {(str(arm), int(seed)): rows for (arm, seed), rows in table.groupby(["arm", "seed"])}
    prompts: list[tuple] = []
    for (arm, seed), rows in models.items():
        here = sorted(rows[PROMPT].itertuples(index=False, name=None))
        prompts = prompts or here
        if here != prompts:
            raise UserError(
                f"evaluation: {arm}, seed {seed} was tested on other problems than the rest; "
                "evaluate all models again"
            )
    return models
