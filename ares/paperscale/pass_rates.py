"""Pass rates of the base model on the problems of the cold start (the paper: 8 samples each)."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ares.answers.base import UNGRADABLE
from ares.backends.base import Response
from ares.benchmarks.run import Answered

COLUMNS = [
    *("source", "problem_id", "prompt_tokens", "samples", "correct", "ungradable", "failed"),
    *("pass_rate", "n_tokens"),
]


def measure(problems: pd.DataFrame, answers: Iterable[Answered]) -> pd.DataFrame:
    """One row per problem that got all its responses.

    A pass rate over the responses that happened to come would be of another kind, so a problem of
    which a request failed is left out.

    Args:
        problems: columns source, problem_id, prompt_tokens.
        answers: of them, in their order, the samples of a problem side by side.

    Returns:
        Columns `COLUMNS`: samples, correct, ungradable (counted as wrong), failed (0) are counts,
        pass_rate is a fraction, n_tokens the mean length of a response (NaN where unknown).
    """
    rows: list[list] = []
    for answer in answers:
        if answer.sample == 0:
            rows.append([0, 0, 0, 0, 0.0])
        row = rows[-1]
        row[0] += 1
        if isinstance(answer.outcome, Response) and answer.grade is not None:
            row[1] += answer.grade.correct
            row[2] += answer.grade.status == UNGRADABLE
            tokens = answer.outcome.tokens
            row[4] += float("nan") if tokens is None else tokens
        else:
            row[3] += 1
    counted = pd.DataFrame(
        rows, columns=["samples", "correct", "ungradable", "failed", "n_tokens"]
    ).astype({"samples": "int64", "correct": "int64", "ungradable": "int64", "failed": "int64"})
    table = pd.concat([problems.reset_index(drop=True), counted], axis=1)
    table["pass_rate"] = table["correct"] / table["samples"]
    table["n_tokens"] = table["n_tokens"] / table["samples"]
    return table.loc[table["failed"] == 0, COLUMNS].reset_index(drop=True)
