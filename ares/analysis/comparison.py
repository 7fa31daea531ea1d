"""Models compared on the test problems: an arm's value, and the difference between two arms.

Choices:
1. A value is the plain mean of its cells (level and presentation).
2. The interval of one model is over problems, and says nothing about another run. That of several
   runs is over problems and runs together.
3. Arms are compared by seed: run 1 of one with run 1 of the other. With one common seed there is no
   interval, for nothing shows how runs differ.
4. The models that training starts from are one each; they are the same for every seed.
5. Intervals of few runs are widened and may pass what a quantity can be; values are cut off there
   (0 to 1 for an accuracy), differences are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from ares.analysis.training import arms_of
from ares.errors import UserError
from ares.method.difficulty import BUCKETS
from ares.plotting import STARTS
from ares.stats import NAN, Estimate, Resampler, mean, over_seeds

PROMPT = ["problem_id", "presentation"]
#: What is compared: the column of the evaluation, and the range of its values.
QUANTITIES = {
    "accuracy": ("accuracy", 0.0, 1.0),
    "length": ("n_tokens", 0.0, np.inf),
    "hwe": ("hwe", 0.0, np.inf),
}


@dataclass(frozen=True)
class Compared(Estimate):
    """An estimate with what its interval is over: 'problems', 'runs and problems' or 'none'."""

    over: str = "none"
    runs: int = 0


class Evaluated:
    """The evaluations of all models, and how their numbers are resampled.

    Attributes:
        models: the rows of every model by (arm, seed), with `accuracy` (fraction).
        arms, cells, levels: what was tested, in the order of the figures. size: in words.

    Raises:
        UserError: models were tested on different problems.
    """

    def __init__(self, evaluation: pd.DataFrame, resampler: Resampler) -> None:
        table = evaluation.assign(accuracy=evaluation["correct"] / evaluation["samples"])
        groups = table.groupby(["arm", "seed"])
        self.models = {(str(arm), int(seed)): rows for (arm, seed), rows in groups}
        prompts = {model: {*map(tuple, r[PROMPT].to_numpy())} for model, r in self.models.items()}
        for (arm, seed), asked in prompts.items():
            if asked != next(iter(prompts.values())):
                raise UserError(
                    f"evaluation: {arm}, seed {seed} was tested on other problems than the rest; "
                    "evaluate all models again"
                )
        self.resampler = resampler
        self.arms = arms_of(evaluation)
        tested = {*zip(evaluation["level"], evaluation["presentation"], strict=True)}
        self.cells = [cell for cell in product(BUCKETS, ("text", "image")) if cell in tested]
        self.levels = list(dict.fromkeys(level for level, _ in self.cells))
        counts = evaluation.groupby("level")["problem_id"].nunique().reindex(self.levels)
        each = ", ".join(f"{number} {level}" for level, number in counts.items())
        self.size = f"test problems: {each}, {evaluation['samples'].max()} samples each"
        self._kept: dict[tuple, dict[int, np.ndarray]] = {}

    def draws(
        self, arm: str, quantity: str, level: str | None = None, presentation: str | None = None
    ) -> dict[int, np.ndarray]:
        """The value of every run of an arm, in the sample and in every resample, by seed.

        Args:
            quantity: accuracy (fraction), length (tokens) or hwe (tokens).
            level, presentation: None takes the mean over all of them.
        """
        key = arm, quantity, level, presentation
        if key not in self._kept:
            self._kept[key] = {}
            for (name, seed), rows in self.models.items():
                if name == arm:
                    here = (rows["level"] == level) | (level is None)
                    here &= (rows["presentation"] == presentation) | (presentation is None)
                    column = QUANTITIES[quantity][0]
                    self._kept[key][seed] = cell_mean(self.resampler, rows[here], column)
        return self._kept[key]

    def paired(
        self, of: str, against: str, *what: str | None, relative: bool = False
    ) -> dict[int, np.ndarray]:
        """The arm `of` minus `against` by common seed; see `draws` for `what`.

        Args:
            relative: divided by the value of `against`: a fraction.
        """
        more, less = self.draws(of, *what), self.draws(against, *what)
        # The one model that training starts from is compared with every run of an arm.
        if against in STARTS and less:
            less = dict.fromkeys(more, *less.values())
        elif of in STARTS and more:
            more = dict.fromkeys(less, *more.values())
        common = [seed for seed in more if seed in less]
        return {s: (more[s] - less[s]) / (less[s] if relative else 1) for s in common}

    def value(self, arm: str, quantity: str, *cell: str | None) -> Compared:
        """The mean of a quantity for an arm; NaN where it has no run. `cell`: see `draws`."""
        found = self._compared(self.draws(arm, quantity, *cell), "problems")
        if found.runs < 2:
            return found
        low, high = np.clip([found.low, found.high], *QUANTITIES[quantity][1:])
        return replace(found, low=float(low), high=float(high))

    def difference(
        self, of: str, against: str, *what: str | None, relative: bool = False
    ) -> Compared:
        """The arm `of` minus `against`, paired by problem and, between runs, by seed.

        Arguments as for `paired`.
        """
        paired = self.paired(of, against, *what, relative=relative)
        starts = of in STARTS and against in STARTS
        return self._compared(paired, "problems" if starts else "none")

    def _compared(self, draws: Mapping[int, np.ndarray], over_one: str) -> Compared:
        """The mean over runs; `over_one` is what the interval of a single run is over."""
        if not draws:
            return Compared(NAN, NAN, NAN)
        values_RS = np.stack(list(draws.values()), axis=1)
        if (runs := len(draws)) > 1:
            drawn = self.resampler
            mean_R = over_seeds(values_RS, drawn.resamples, drawn.coverage, drawn.seed)
            return Compared(**drawn.estimate(mean_R).numbers, over="runs and problems", runs=runs)
        found = self.resampler.estimate(values_RS[:, 0])
        if over_one == "none":
            return Compared(found.value, NAN, NAN, over_one, 1)
        return Compared(**found.numbers, over=over_one, runs=1)


def cell_mean(resampler: Resampler, table: pd.DataFrame, column: str) -> np.ndarray:
    """Mean of the means of every level and presentation, (R + 1,); NaN for an empty table.

    Args:
        table: one model's rows.
    """
    cells = [
        mean(resampler, rows, column)
        for _, rows in table.groupby(["level", "presentation"], sort=True)
    ]
    return np.mean(cells, axis=0) if cells else np.full(len(resampler.draws_RC), np.nan)
