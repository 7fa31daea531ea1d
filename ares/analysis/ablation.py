"""Figure 6 and Table 5 in small: what the arms come to on the test problems, beside the paper's.

Choices:
1. A value is the plain mean of its cells (level and presentation), as in the findings; so is the
   way seeds and problems are resampled (`ares.stats`). Numbers agree with theirs.
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

from ares.analysis.training import arms_of
from ares.config import Scale
from ares.findings.quantities import COLUMNS, STARTS, cell_mean, models_of
from ares.method.difficulty import BUCKETS
from ares.stats import Estimate, Resampler, over_seeds

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
#: Our models by the paper's names in Table 4, and what the figures call them.
MODELS = {"ARES-CS-Vanilla": "cs-vanilla", "ARES-CS-7B": "adacs", "ARES-RL-7B": "ares"}
LABELS = {"base": "base", "cs-vanilla": "CS-Vanilla", "adacs": "CS (AdaCS)", "ares": "RL (ares)"}
#: What a value can be.
BOUNDS = {"accuracy": (0.0, 1.0), "length": (0.0, np.inf), "hwe": (0.0, np.inf)}


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

    def presentations(self, level: str) -> list[str]:
        """The presentations in which a level was tested."""
        return [shown for own, shown in self.cells if own == level]

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
        # One model that training starts from stands against every run of an arm.
        if against in STARTS and less:
            less = dict.fromkeys(more, *less.values())
        elif of in STARTS and more:
            more = dict.fromkeys(less, *more.values())
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
        mean_R = over_seeds(values_RS, *self._drawn)
        return Found(self.problems.estimate(mean_R), "runs and problems", values_RS.shape[1])


def _cells(rows: pd.DataFrame, level: str | None, presentation: str | None) -> pd.DataFrame:
    """The rows of a level and a presentation; None takes all."""
    if level is not None:
        rows = rows[rows["level"] == level]
    return rows if presentation is None else rows[rows["presentation"] == presentation]
