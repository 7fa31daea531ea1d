"""What an evaluation leaves behind: rows for tables, lines for `ares analyze`.

A row of the table of responses is one sample of one question, without its text; the text is in the
traces. The difficulty of a trace is that of eq. 10 where a question was sampled at least eight
times (easy from 3/4 right, medium from 3/8); with fewer samples it is the level that the registry
gives the benchmark, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import torch

from ares.backends.base import Failure
from ares.backends.messages import as_texts
from ares.benchmarks.run import Answered
from ares.method.difficulty import BUCKETS, buckets

#: Samples of a question from which its pass rate says how difficult it is (eq. 10).
ENOUGH = 8
COLUMNS = [
    *("benchmark", "id", "group", "variant", "sample", "status", "correct", "finish"),
    *("n_tokens", "failure", "gold", "extracted", "by", "note"),
]


def row(done: Answered) -> dict[str, Any]:
    """One sample as a row: `COLUMNS`, then the tags of the question.

    status: see `ares.answers.base.STATUSES`, or "failed" where there is no response. n_tokens: of
    the response; NaN where the backend does not say.
    """
    item, outcome, grade = done.item, done.outcome, done.grade
    names = (item.benchmark, item.id, item.group, item.variant, done.sample)
    if isinstance(outcome, Failure) or grade is None:
        reason = outcome.reason if isinstance(outcome, Failure) else ""
        values = ("failed", False, "", float("nan"), reason, item.question.gold, "", "", "")
    else:
        tokens = float("nan") if outcome.tokens is None else float(outcome.tokens)
        values = (
            *(grade.status, grade.correct, outcome.finish, tokens, ""),
            *(item.question.gold, grade.extracted, grade.by, grade.note),
        )
    return {**dict(zip(COLUMNS, (*names, *values), strict=True)), **item.tags}


def by_item(answers: Iterable[Answered]) -> Iterator[list[Answered]]:
    """The samples of one question after another; a question's samples follow one another."""
    for _, group in groupby(answers, key=lambda done: (done.item.benchmark, done.item.id)):
        yield list(group)


def traces(samples: list[Answered], level: str | None) -> list[dict[str, Any]]:
    """The responses to one question as lines for `ares analyze`; failures have none.

    Args:
        samples: all of the question.
        level: of the benchmark, for questions with few samples.
    """
    graded = [done for done in samples if done.grade is not None]
    difficulty = level
    if len(graded) >= ENOUGH:
        rate = sum(bool(done.grade and done.grade.correct) for done in graded) / len(graded)
        difficulty = BUCKETS[int(buckets(torch.tensor(rate)))]
    return [_trace(done, difficulty) for done in graded]


def _trace(done: Answered, difficulty: str | None) -> dict[str, Any]:
    item, response, grade = done.item, done.outcome, done.grade
    assert not isinstance(response, Failure) and grade is not None
    return {
        "id": item.id,
        "benchmark": item.benchmark,
        "sample": done.sample,
        "prompt": as_texts(item.messages[-1:], "[picture]", " ")[0]["content"],
        "gold": item.question.gold,
        "extracted": grade.extracted,
        "status": grade.status,
        "correct": grade.correct,
        "difficulty": difficulty,
        **response.traced(),
    }
