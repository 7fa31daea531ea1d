"""Our accuracies and lengths in one form, whichever table they come from, beside Tables 1 to 5.

Two tables hold accuracies of ours: `evaluation` of a small-world run, and the scores that
`ares benchmark` writes for real models. Both become rows of `COLUMNS`.

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

import pandas as pd

from ares.analysis.comparison import Compared, Evaluated
from ares.analysis.paper_audit import AVERAGE, others, paper, source_of, wide
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
#: The form both take; `kind` is benchmark, level (mean of a level's) or average.
COLUMNS = (
    *("arm", "kind", "benchmark", "modality", "level", "accuracy", "low", "high"),
    *("length", "length_low", "length_high", "n", "of", "samples", "failed", "runs", "over"),
)
#: The small world's presentations beside the paper's two kinds of benchmarks.
MODALITY = {"image": "multimodal", "text": "text"}
#: The paper's tables of one modality each.
TABLES = {"multimodal": "table2_multimodal", "text": "table3_text"}


@dataclass(frozen=True)
class BenchmarkResults:
    """Our numbers. kind: EVALUATION or SCORES. rows: `COLUMNS`. size: in words, for captions.

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
        """The rows of a kind (benchmark, level, average) with these values."""
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
    cells = [
        *(("benchmark", level, presentation) for level, presentation in tested.cells),
        *(("level", level, None) for level in tested.levels),
        *(("average", None, shown) for shown in MODALITY if shown in set(prompts["presentation"])),
        ("average", None, None),
    ]
    rows = []
    for arm, (kind, level, presentation) in product(tested.arms, cells):
        accuracy = _percent(tested.value(arm, "accuracy", level, presentation), "accuracy")
        length = tested.value(arm, "length", level, presentation)
        here = (prompts["level"] == level) | (level is None)
        n = int((here & ((prompts["presentation"] == presentation) | (presentation is None))).sum())
        numbers = {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
        numbers |= {"length": length.value, "length_low": length.low, "length_high": length.high}
        name = f"{level} {presentation}" if kind == "benchmark" else AVERAGE
        row = {"arm": arm, "kind": kind, "benchmark": name, "level": level or "", **numbers}
        row |= {"modality": MODALITY.get(presentation or "", ""), "n": n, "of": n, "failed": 0}
        row |= {"samples": int(evaluation["samples"].max())}
        rows.append(row | {"runs": accuracy.runs, "over": accuracy.over})
    size = f"ours: the small world; {tested.size}"
    return BenchmarkResults(EVALUATION, pd.DataFrame(rows, columns=list(COLUMNS)), size, tested)


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
    own = scores.drop_duplicates(["model", "benchmark"], ignore_index=True)
    registry = load_registry()
    names = {name: entry.paper or name for name, entry in registry.items()}
    sizes = {name: entry.size for name, entry in registry.items()}
    table = own.assign(
        arm=own["model"].str.replace(r"-s\d+$", "", regex=True),
        kind="benchmark",
        of=own["benchmark"].map(sizes).fillna(0).astype(int),
        benchmark=own["benchmark"].map(lambda name: names.get(name, name)),
        length_low=NAN,
        length_high=NAN,
        runs=1,
        over="questions",
    )
    places = _places()
    for column in ("modality", "level"):
        table[column] = table["benchmark"].map(places[column]).fillna("")
    new = {"score": "accuracy", "ci_low": "low", "ci_high": "high"}
    table = table.rename(columns=new | {"n_tokens": "length", "n_items": "n"})
    groups = table.groupby(["arm", "benchmark"], sort=False)
    rows = pd.DataFrame([_over_runs(group) for _, group in groups])
    every = pd.concat([rows, *_means(rows, places)], ignore_index=True)[list(COLUMNS)]
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


def _over_runs(group: pd.DataFrame) -> pd.Series:
    """The runs of an arm on a benchmark as one row."""
    row = group.iloc[0].copy()
    if group["n"].nunique() > 1:
        raise UserError(
            f"{row['arm']}, {row['benchmark']}: its runs answered {group['n'].min()} and "
            f"{group['n'].max()} questions; test all runs on the same"
        )
    if len(group) > 1:
        for value, prefix in (("accuracy", ""), ("length", "length_")):
            row[[value, f"{prefix}low", f"{prefix}high"]] = group[value].agg(["mean", "min", "max"])
        row["runs"], row["over"] = len(group), "range of runs"
        row["failed"] = group["failed"].sum()
    return row


def _means(rows: pd.DataFrame, places: pd.DataFrame) -> list[pd.DataFrame]:
    """Means over the benchmarks of a level (Table 4) and of a table (2 and 3), where complete."""
    wanted = [("level", level, "", list(own.index)) for level, own in places.groupby("level")]
    for modality, table in TABLES.items():
        wanted.append(("average", "", modality, list(wide(table).drop(columns=AVERAGE))))
    found = []
    for kind, level, modality, names in wanted:
        for arm, own in rows[rows["benchmark"].isin(names)].groupby("arm", sort=False):
            if len(own) < len(names):
                continue
            row = dict.fromkeys(("low", "high", "length_low", "length_high"), NAN)
            row |= {"arm": arm, "kind": kind, "benchmark": AVERAGE, "modality": modality}
            row |= {"level": level, "samples": own["samples"].max(), "runs": own["runs"].min()}
            row |= dict(own[["accuracy", "length"]].mean()) | dict(own[["n", "of", "failed"]].sum())
            found.append(row | {"over": "none"})
    return [pd.DataFrame(found)] if found else []


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


def f12(ours: BenchmarkResults, size: str) -> tuple[str, str, pd.DataFrame]:
    """F12: ARES is the best open model of its size, wherever the paper's tables say so.

    A part is a benchmark on which they do. It is reproduced (contradicted) if the interval of our
    arm `ares` lies above (below) the score of the best other open model, as the paper prints it,
    and undecided otherwise; of several runs, the interval is their range. A benchmark that was
    asked in part is not judged: its first questions are no sample. The verdict follows from the
    parts as in `config/findings.yaml`, and is `reproduced` only if no part is missing.

    Args:
        size: of our model: 3B, 7B, or "" where it has no counterpart in the paper.

    Returns:
        Verdict, why, and the parts: table, benchmark, best open, its score, ours, low, high,
        verdict.
    """
    columns = ["table", "benchmark", "best", "score", "ours", "low", "high", "verdict"]
    none = pd.DataFrame(columns=columns)
    if ours.kind == EVALUATION:
        why = "no benchmark of Tables 2 and 3 was run: Countdown is none of them"
        return "not testable at this scale", why, none
    if size not in ("3B", "7B"):
        return "not testable", "our model has none of the sizes that the tables compare", none
    own = ours.of("benchmark", arm="ares").set_index("benchmark")
    own = own[own["n"] >= own["of"]]
    rows, claimed = [], 0
    for name in TABLES.values():
        rest, ares = others(name, f"ARES-{size}"), wide(name).loc[f"ARES-{size}"]
        best = ares.index[ares > rest.max()].drop(AVERAGE)
        claimed += len(best)
        for benchmark in best.intersection(own.index, sort=False):
            score, found = rest[benchmark].max(), own.loc[benchmark, ["accuracy", "low", "high"]]
            verdict = "reproduced" if found["low"] > score else "undecided"
            verdict = "contradicted" if found["high"] < score else verdict
            place = source_of(name)
            rows.append((place, benchmark, rest[benchmark].idxmax(), score, *found, verdict))
    parts = pd.DataFrame(rows, columns=columns)
    if parts.empty:
        return "not testable", "no benchmark of Tables 2 and 3 was asked whole", parts
    held, against = ((parts["verdict"] == word).sum() for word in ("reproduced", "contradicted"))
    why = (
        f"of {claimed} benchmarks on which ARES-{size} is best in the paper, {len(parts)} were "
        f"asked whole; ours is above the best other open model on {held}, below it on {against}"
    )
    if held == claimed:
        return "reproduced", why, parts
    if against > held:
        return "contradicted", why, parts
    return ("partly" if held or against else "not at this scale"), why, parts
