"""Figure 6 and Table 5 in small: what the arms come to on the test problems, beside the paper's.

Choices:
1. A value is the plain mean of its cells (level and presentation), as in the findings; so is the
   way seeds and problems are resampled (`ares.analysis.findings.seeds`). Numbers agree with theirs.
2. One model: its interval is over problems, and says nothing of another run. Several runs: over
   problems and runs together.
3. Arms are compared by seed: run 1 of one with run 1 of the other. With one common seed there is no
   interval, for nothing shows how runs differ.
4. The models that training starts from are one each; they are the same for every seed.
5. Intervals of few runs are widened and may pass what a quantity can be; values are cut off there
   (0 to 1 for an accuracy), differences are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ares.analysis.findings import seeds
from ares.analysis.findings.evaluation import COLUMNS, STARTS, cell_mean, models_of
from ares.analysis.stats import Estimate, Resampler
from ares.analysis.training import arms_of
from ares.config import Scale
from ares.method.difficulty import BUCKETS

NAN = float("nan")
#: The paper's names of the arms in Fig. 6 and of the rows of Table 5.
FIGURE6 = {
    "ARES": "ares",
    "ARES w/o KL": "ares-no-kl",
    "ARES w/o Entropy": "ares-no-entropy",
    "DAPO": "dapo",
    "GRPO": "grpo",
}
TABLE5 = {
    "cold start": "adacs",
    "cold start + GRPO": "grpo",
    "cold start + dynamic KL": "ares-no-entropy",
    "cold start + entropy shaping": "ares-no-kl",
    "ARES-7B": "ares",
}
#: What a value can be.
BOUNDS = {"accuracy": (0.0, 1.0), "length": (0.0, np.inf), "hwe": (0.0, np.inf)}
#: Pairs of models that differ in one part (dapo and grpo: in all of DAPO): part, with, without.
PARTS = (
    ("dynamic KL", "ares", "ares-no-kl"),
    ("dynamic KL, no entropy reward", "ares-no-entropy", "dapo"),
    ("entropy reward", "ares", "ares-no-entropy"),
    ("entropy reward, no KL", "ares-no-kl", "dapo"),
    ("DAPO's changes to GRPO", "dapo", "grpo"),
    ("everything but the cold start", "ares", "grpo"),
    ("branching", "ares-branch", "ares"),
    ("cold start by difficulty", "ares", "ares-from-vanilla"),
    ("all of the training", "ares", "adacs"),
)


@dataclass(frozen=True)
class Found:
    """A number of an arm, or a difference of two, with what its interval is over.

    over: 'problems', 'runs and problems', or 'none'. runs: how many are behind it.
    """

    estimate: Estimate
    over: str
    runs: int

    def as_row(self) -> dict[str, Any]:
        """The columns value, low, high, over, runs."""
        found = self.estimate
        whole = {"value": found.value, "low": found.low, "high": found.high}
        return {**whole, "over": self.over, "runs": self.runs}


class Evaluated:
    """Every model's evaluation, and how its numbers are resampled.

    Args:
        evaluation: the table of all models.
        config: of the scale; its seed, resamples and level of the intervals are used.

    Attributes:
        arms, cells, levels: what there is, in the order of the figures. size: in words.

    Raises:
        UserError: models were tested on different problems.
    """

    def __init__(self, evaluation: pd.DataFrame, config: Scale) -> None:
        self.models = models_of(evaluation)
        self._kept: dict[tuple, dict[int, np.ndarray]] = {}
        self.problems = Resampler.of(evaluation, config)
        self.arms = arms_of(evaluation)
        self.cells = [
            (level, presentation)
            for level in BUCKETS
            for presentation in ("text", "image")
            if ((evaluation["level"] == level) & (evaluation["presentation"] == presentation)).any()
        ]
        self.levels = list(dict.fromkeys(level for level, _ in self.cells))
        drawn = config.bootstrap
        self._drawn = drawn.resamples, drawn.level, config.seed
        numbers = evaluation.groupby("level")["problem_id"].nunique().reindex(self.levels)
        each = ", ".join(f"{number} {level}" for level, number in numbers.items())
        self.size = f"test problems: {each}, {evaluation['samples'].max()} samples each"

    def value(
        self, arm: str, column: str, level: str | None = None, presentation: str | None = None
    ) -> Found:
        """A column's mean for an arm: accuracy (fraction), length or hwe (tokens).

        Args:
            level, presentation: None takes the mean over all of them.
        """
        draws = self._draws(arm, column, level, presentation)
        if not draws:
            return Found(Estimate(NAN, NAN, NAN), "none", 0)
        if len(draws) == 1:
            return Found(self.problems.estimate(*draws.values()), "problems", 1)
        found = self._over_runs(draws.values())
        low, high = np.clip([found.estimate.low, found.estimate.high], *BOUNDS[column])
        return Found(
            Estimate(found.estimate.value, float(low), float(high)), found.over, found.runs
        )

    def difference(
        self,
        of: str,
        against: str,
        column: str,
        level: str | None = None,
        presentation: str | None = None,
        relative: bool = False,
    ) -> Found:
        """The arm `of` minus `against`, paired by problem and, between runs, by seed.

        Args:
            relative: divided by the value of `against`: a fraction.
        """
        more = self._draws(of, column, level, presentation)
        less = self._draws(against, column, level, presentation)
        if against in STARTS and less:
            less = dict.fromkeys(more, *less.values())
        paired = {
            seed: (more[seed] - less[seed]) / (less[seed] if relative else 1)
            for seed in more
            if seed in less
        }
        if not paired:
            return Found(Estimate(NAN, NAN, NAN), "none", 0)
        if len(paired) > 1:
            return self._over_runs(paired.values())
        (only,) = paired.values()
        if of in STARTS and against in STARTS:
            return Found(self.problems.estimate(only), "problems", 1)
        return Found(Estimate(float(only[0]), NAN, NAN), "none", 1)

    def per_run(self, arm: str, column: str, against: str | None = None) -> list[float]:
        """The value of every run of an arm over all cells, or its difference to another arm's."""
        more = self._draws(arm, column, None, None)
        if against is None:
            return [float(draws[0]) for draws in more.values()]
        less = self._draws(against, column, None, None)
        return [float(more[seed][0] - less[seed][0]) for seed in more if seed in less]

    def _draws(
        self, arm: str, column: str, level: str | None, presentation: str | None
    ) -> dict[int, np.ndarray]:
        """Of every run of an arm: the value in the sample and in every resample of the problems."""
        key = arm, column, level, presentation
        if key not in self._kept:
            self._kept[key] = {
                seed: cell_mean(self.problems, _cells(rows, level, presentation), COLUMNS[column])
                for (name, seed), rows in self.models.items()
                if name == arm
            }
        return self._kept[key]

    def _over_runs(self, draws: Iterable[np.ndarray]) -> Found:
        values_RS = np.stack(list(draws), axis=1)
        mean_R = seeds.resample(values_RS, *self._drawn)
        return Found(self.problems.estimate(mean_R), "runs and problems", values_RS.shape[1])


def _cells(rows: pd.DataFrame, level: str | None, presentation: str | None) -> pd.DataFrame:
    """The rows of a level and a presentation; None takes all."""
    if level is not None:
        rows = rows[rows["level"] == level]
    return rows if presentation is None else rows[rows["presentation"] == presentation]


def table5(tested: Evaluated, column: str, against: str = "grpo") -> pd.DataFrame:
    """Every model by cell and on average, and its difference to one arm.

    Args:
        column: accuracy (fraction) or length (tokens).

    Returns:
        arm, cell ('easy text' ... or 'average'), kind ('value', or 'difference' on average only),
        quantity, value, low, high, over, runs. An arm has no difference to itself.
    """
    rows = []
    for arm in tested.arms:
        for level, presentation in tested.cells:
            found = tested.value(arm, column, level, presentation)
            rows.append((arm, f"{level} {presentation}", "value", found))
        rows.append((arm, "average", "value", tested.value(arm, column)))
        if arm != against and against in tested.arms:
            rows.append((arm, "average", "difference", _to_run(tested, arm, against, column)))
    return pd.DataFrame(
        [
            {"arm": arm, "cell": cell, "kind": kind, "quantity": column, **found.as_row()}
            for arm, cell, kind, found in rows
        ]
    )


def _to_run(tested: Evaluated, arm: str, against: str, column: str) -> Found:
    """Arm minus reference, also where the arm is one of the models that training starts from."""
    if arm not in STARTS or against in STARTS:
        return tested.difference(arm, against, column)
    found = tested.difference(against, arm, column)
    flipped = found.estimate
    return Found(Estimate(-flipped.value, -flipped.high, -flipped.low), found.over, found.runs)


def per_run_values(tested: Evaluated, column: str, against: str = "grpo") -> pd.DataFrame:
    """The points behind `table5`: arm, kind, run (from 0), value; differences of arms alone."""
    rows = [
        (arm, kind, run, value)
        for arm in tested.arms
        for kind, reference in (("value", None), ("difference", against))
        if kind == "value" or (arm != against and arm not in STARTS)
        for run, value in enumerate(tested.per_run(arm, column, reference))
    ]
    return pd.DataFrame(rows, columns=["arm", "kind", "run", "value"])


def parts(tested: Evaluated, column: str) -> pd.DataFrame:
    """What one part of the method changes: `PARTS` whose two models there are, all cells pooled.

    Returns:
        part, model, without (arms), value, low, high, over, runs: the first minus the second.
    """
    rows = [
        {"part": part, "model": of, "without": against}
        | tested.difference(of, against, column).as_row()
        for part, of, against in PARTS
        if {of, against} <= set(tested.arms)
    ]
    columns = ["part", "model", "without", "value", "low", "high", "over", "runs"]
    return pd.DataFrame(rows, columns=columns)


def paper_curves(figure6: pd.DataFrame) -> pd.DataFrame:
    """The paper's Fig. 6 as ours: arm, metric (accuracy: fraction, length: tokens), step, value.

    It has no bands: low and high are NaN.
    """
    named = figure6.assign(arm=figure6["arm"].map(FIGURE6))
    named = named.rename(columns={"response_length": "length"})
    curves = named.melt(["arm", "step"], ["accuracy", "length"], "metric", "value")
    return curves.assign(low=NAN, high=NAN)


def paper_differences(table: pd.DataFrame, against: str = "grpo") -> pd.DataFrame:
    """The paper's Table 5: arm, average (fraction), difference to the average of one arm."""
    averages = table[table["benchmark"] == "Avg"]
    arms = averages["setting"].map(TABLE5)
    found = pd.DataFrame({"arm": arms, "average": averages["accuracy"] / 100}).reset_index(
        drop=True
    )
    reference = found.loc[found["arm"] == against, "average"].item()
    return found.assign(difference=found["average"] - reference)
