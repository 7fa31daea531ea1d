"""Put the questions of a benchmark to a model and grade what it answers.

Two passes. The first asks for what the store lacks and takes answers in any order, so that the
model never waits. The second reads the store in the order of the questions and grades:
tables are the same whatever the order, a run that was killed goes on where it was, and grading
again costs no request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import tee

from tqdm import tqdm

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.server import BudgetSpent
from ares.backends.store import CachedBackend
from ares.data.items import Item, Lazy, row_seed
from ares.evaluation.grader import Grader
from ares.evaluation.grades import Grade


@dataclass(frozen=True, eq=False)
class Asked(Request):
    """A request that knows which question, and which sample of it, it asks for."""

    item: Item = field(kw_only=True)
    sample: int = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Answered:
    """What came of a request. grade: None where there is no response."""

    item: Item
    sample: int
    outcome: Response | Failure
    grade: Grade | None


def requests_of(items: Sequence[Item], samples: int, decoding: Decoding, seed: int) -> Lazy[Asked]:
    """`samples` requests for every item, side by side; made when they are read.

    A sample's seed depends on the seed of the run, the question and its number alone, so that
    asking for more samples, or for fewer questions, leaves the others as they were.
    """
    # The samples of a question follow one another: decode its pictures once.
    item_at = lru_cache(maxsize=1)(items.__getitem__)

    def made(place: int) -> Asked:
        number, sample = divmod(place, samples)
        item = item_at(number)
        return Asked(
            id=f"{item.benchmark}/{item.id}#{sample}",
            messages=item.messages,
            decoding=decoding,
            # Servers want a signed integer of 64 bits or less.
            seed=row_seed(seed, item.benchmark, item.id, sample) >> 33,
            item=item,
            sample=sample,
        )

    return Lazy(len(items) * samples, made)


def answered(
    items: Sequence[Item],
    backend: CachedBackend,
    grader: Grader,
    decoding: Decoding,
    samples: int,
    seed: int,
    progress: str = "",
) -> Iterator[Answered]:
    """Every sample of every item with its verdict, in order.

    Args:
        backend: with its store; what is there is not asked again.
        samples: responses per item.
        seed: of the run.
        progress: what the progress bar is called; "" for none. Silent where stderr is no terminal.

    Raises:
        UserError: nothing can be asked at all; what was answered before stays in the store. Where a
            budget is spent, what was not asked any more has failed.
    """
    requests = requests_of(items, samples, decoding, seed)
    failures: dict[str, Failure] = {}
    unasked = Failure("the backend returned nothing", 0)
    try:
        _ask(requests, backend, failures, progress)
    except BudgetSpent as spent:
        unasked = Failure(str(spent), 0)

    def outcome_of(asked: Asked) -> Response | Failure:
        return failures.get(asked.id) or backend.stored(asked) or unasked

    asked, ahead = tee((asked, outcome_of(asked)) for asked in requests)
    # The grader may read ahead, and grades responses only.
    grades = grader.grade_many(
        (outcome.full_text, one.item.question)
        for one, outcome in ahead
        if isinstance(outcome, Response)
    )
    for one, outcome in asked:
        grade = next(grades) if isinstance(outcome, Response) else None
        yield Answered(one.item, one.sample, outcome, grade)


def _ask(
    requests: Sequence[Asked], backend: CachedBackend, failures: dict[str, Failure], progress: str
) -> None:
    """Ask for what the store lacks, with a bar on a terminal, and note what fails."""
    tokens, silent = 0, not progress or not sys.stderr.isatty()
    bar = tqdm(total=len(requests), desc=progress, unit="req", dynamic_ncols=True, disable=silent)
    with bar:
        for request, outcome in backend.generate(requests):
            if isinstance(outcome, Failure):
                failures[request.id] = outcome
            else:
                tokens += outcome.tokens or 0
            failed = f", {len(failures)} failed" if failures else ""
            bar.set_postfix_str(f"{tokens:,} tokens{failed}", refresh=False)
            bar.update()
