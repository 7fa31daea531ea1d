"""Our accuracies and lengths in one form, whichever table they come from, beside Tables 1 to 5.

Two tables hold accuracies of ours: `evaluation` of a small-world run, and the scores that
`ares benchmark` writes for real models. Both become rows of one form.

Choices:
1. Of a scores table the first metric of a model and benchmark counts: the benchmark's own.
2. A model `NAME-s3` is run 3 of the arm NAME. One run: the interval is over the questions. Several
   runs: the value is their mean, and low and high are the lowest and the highest of them.
3. The small world's pictures stand beside multimodal benchmarks, its text beside text ones, its
   levels beside the levels of Table 4. That compares directions, never values.
4. An average is given only where everything it is over was measured.
5. Accuracies are in percent, as in the paper; lengths in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from ares.analysis.comparison import Compared, Evaluated
from ares.analysis.paper_tables import AVERAGE, paper, wide
from ares.analysis.training import arms_of
from ares.config import Scale
from ares.errors import UserError
from ares.evaluation.registry import load_registry
from ares.io import read_table
from ares.paths import resolve
from ares.stats import NAN, Resampler
from ares.tables import check_form

#: The two kinds of tables, see `ares.tables`.
EVALUATION, SCORES = "evaluation", "scores"
#: The small world's presentations beside the paper's two kinds of benchmarks.
MODALITY = {"image": "multimodal", "text": "text"}
#: The paper's tables of one modality each.
TABLES = {"multimodal": "table2_multimodal", "text": "table3_text"}


@dataclass(frozen=True)
class BenchmarkResults:
    """Our numbers.

    Attributes:
        kind: EVALUATION or SCORES.
        rows: arm, kind (benchmark or average), benchmark, modality, level, accuracy, low, high,
            length, length_low, length_high, n, of, samples, failed, runs, over (what the interval
            is over).
        size: in words, for captions.
        tested: of an evaluation, what differences are resampled from; None for scores.
    """

    kind: str
    rows: pd.DataFrame
    size: str
    tested: Evaluated | None = None

    @property
    def arms(self) -> list[str]:
        """Arms and models that training starts from, in the order of the figures."""
        return arms_of(self.rows)

    def of(self, kind: str, **where: str) -> pd.DataFrame:
        """The rows of a kind (benchmark or average) with these values."""
        rows = self.rows[self.rows["kind"] == kind]
        for column, value in where.items():
            rows = rows[rows[column] == value]
        return rows

    def change(
        self, of: str, against: str, quantity: str, benchmarks: Sequence[str] = ()
    ) -> Compared:
        """The arm `of` minus `against`.

        The interval of an evaluation is paired by problem and, between runs, by seed. Scores of
        two models have none: the table does not hold the answers that would pair them.

        Args:
            quantity: accuracy (percent points) or length (tokens).
            benchmarks: to take the mean over; none: all that both were measured on.
        """
        if self.tested is not None:
            return _percent(self.tested.difference(of, against, quantity), quantity)
        rows = self.of("benchmark")
        if benchmarks:
            rows = rows[rows["benchmark"].isin(list(benchmarks))]
        table = rows.pivot(index="benchmark", columns="arm", values=quantity)
        pair = table.reindex(columns=[of, against]).dropna()
        whole = len(pair) and (not benchmarks or len(pair) == len(benchmarks))
        return Compared(float((pair[of] - pair[against]).mean()) if whole else NAN, NAN, NAN)


def _percent(found: Compared, quantity: str) -> Compared:
    unit = 100 if quantity == "accuracy" else 1
    ends = (unit * end for end in (found.value, found.low, found.high))
    return Compared(*ends, found.over, found.runs)


def measured(folder: str | Path, name: str, settings: Scale) -> BenchmarkResults:
    """Our numbers from a table of a run or of `ares benchmark`; its columns say which it is.

    Args:
        folder: of the tables.
        name: of the table in that folder ("evaluation", "scores"), or the path of a `.parquet` or
            `.csv` file.
        settings: the config of an evaluation: bootstrap and seed. Scores have intervals already.

    Raises:
        UserError: no such table, a table of neither kind, a score twice.
    """
    own = name.endswith((".parquet", ".csv"))
    path = resolve(name) if own else resolve(folder) / f"{name}.parquet"
    table = read_table(path)
    kind = EVALUATION if "arm" in table else SCORES
    check_form(table, path, kind, maker="world" if kind == EVALUATION else "benchmark")
    return from_evaluation(table, settings) if kind == EVALUATION else from_scores(table, str(path))


def from_evaluation(evaluation: pd.DataFrame, settings: Scale) -> BenchmarkResults:
    """Every arm of a small-world run by level and presentation, and the means of these cells."""
    tested = Evaluated(evaluation, Resampler.of(evaluation, settings))
    prompts = next(iter(tested.models.values()))
    shown = [
        presentation for presentation in MODALITY if presentation in {*prompts["presentation"]}
    ]
    cells = [*tested.cells, *((None, presentation) for presentation in shown), (None, None)]
    rows = []
    for arm, (level, presentation) in product(tested.arms, cells):
        accuracy = _percent(tested.value(arm, "accuracy", level, presentation), "accuracy")
        length = tested.value(arm, "length", level, presentation)
        here = (prompts["level"] == level) | (level is None)
        n = int((here & ((prompts["presentation"] == presentation) | (presentation is None))).sum())
        row = {"arm": arm, "kind": "benchmark" if level else "average"}
        row["benchmark"] = f"{level} {presentation}" if level else AVERAGE
        row |= {"modality": MODALITY.get(presentation or "", ""), "level": level or ""}
        row |= {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
        row |= {"length": length.value, "length_low": length.low, "length_high": length.high}
        row |= {"n": n, "of": n, "samples": int(evaluation["samples"].max()), "failed": 0}
        rows.append(row | {"runs": accuracy.runs, "over": accuracy.over})
    size = f"ours: the small world; {tested.size}"
    return BenchmarkResults(EVALUATION, pd.DataFrame(rows), size, tested)


def from_scores(scores: pd.DataFrame, path: str = "scores") -> BenchmarkResults:
    """Models that `ares benchmark` tested, by benchmark, with the averages that are complete.

    Benchmarks have the paper's names where the registry gives one.

    Raises:
        UserError: a model has two scores of the same metric on a benchmark, or the runs of an arm
            answered different numbers of questions.
    """
    twice = scores[scores.duplicated(["model", "benchmark", "metric"])]
    if len(twice):
        model, benchmark = twice[["model", "benchmark"]].iloc[0]
        raise UserError(f"{path}: {model} has two scores on {benchmark}; give each model one")
    new = {"score": "accuracy", "ci_low": "low", "ci_high": "high"}
    own = scores.drop_duplicates(["model", "benchmark"], ignore_index=True)
    own = own.rename(columns=new | {"n_tokens": "length", "n_items": "n"})
    own["arm"] = own["model"].str.replace(r"-s\d+$", "", regex=True)
    groups = own.groupby(["arm", "benchmark"], sort=False)
    if len(unequal := groups["n"].nunique().loc[lambda number: number > 1]):
        arm, benchmark = unequal.index[0]
        raise UserError(
            f"{path}: runs of {arm} answered different numbers of questions of {benchmark}; test "
            "all runs on the same"
        )
    rows = groups[["low", "high", "n", "samples"]].first().join(groups["failed"].sum())
    rows = rows.join(groups[["accuracy", "length"]].mean()).assign(runs=groups.size())
    least, most = (groups[["accuracy", "length"]].agg(end) for end in ("min", "max"))
    several = rows["runs"] > 1
    rows["low"] = rows["low"].mask(several, least["accuracy"])
    rows["high"] = rows["high"].mask(several, most["accuracy"])
    rows["length_low"], rows["length_high"] = (
        end["length"].where(several) for end in (least, most)
    )
    rows = rows.reset_index()
    registry, places = load_registry(), _places()
    sizes = {name: entry.size for name, entry in registry.items()}
    names = {name: entry.paper or name for name, entry in registry.items()}
    rows["of"] = rows["benchmark"].map(sizes).fillna(0).astype(int)
    rows["benchmark"] = rows["benchmark"].map(lambda name: names.get(name, name))
    for column in ("modality", "level"):
        rows[column] = rows["benchmark"].map(places[column]).fillna("")
    over = np.where(rows["runs"] > 1, "range of runs", "questions")
    rows = rows.assign(kind="benchmark", over=over)
    every = pd.concat([rows, *_averages(rows)], ignore_index=True)
    return BenchmarkResults(SCORES, every, _size(rows))


def _places() -> pd.DataFrame:
    """Modality and level of every benchmark of the paper ("" where it gives none)."""
    names = {
        modality: list(wide(table).drop(columns=AVERAGE)) for modality, table in TABLES.items()
    }
    # Table 4 says so in its head; these two are in no other table.
    names["multimodal"].append("OlympiadBench")
    names["text"].append("GSM8K")
    modality = pd.Series({name: modality for modality, own in names.items() for name in own})
    table4 = paper("table4_accuracy_length").groupby("benchmark", sort=False)["level"].first()
    return modality.rename("modality").to_frame().join(table4)


def _averages(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Means over the benchmarks of Tables 2 and 3, of the arms that were tested on all of them."""
    found = []
    for modality, table in TABLES.items():
        names = wide(table).columns.drop(AVERAGE)
        own = rows[rows["benchmark"].isin(names)]
        arms = own[own.groupby("arm")["arm"].transform("size") == len(names)].groupby("arm")
        means = arms[["accuracy", "length"]].mean().join(arms[["n", "of", "failed"]].sum())
        means = means.assign(samples=arms["samples"].max(), runs=arms["runs"].min(), over="none")
        about = {"kind": "average", "benchmark": AVERAGE, "modality": modality, "level": ""}
        found.append(means.reset_index().assign(**about))
    return [table for table in found if len(table)]


def _size(rows: pd.DataFrame) -> str:
    """How much was asked, of which benchmarks not all, and what got no response."""
    parts = rows.drop_duplicates("benchmark")
    short = parts[(parts["of"] > 0) & (parts["n"] < parts["of"])]
    words = f"ours: {len(parts)} benchmark{'s' * (len(parts) != 1)}"
    if len(short):
        left = ", ".join(f"{row.benchmark} {row.n} of {row.of}" for row in short.itertuples())
        words += f", not all questions of {len(short)} ({left})"
    failed = int(rows["failed"].sum())
    return words + (f"; {failed} requests without a response count as wrong" if failed else "")
