"""The pool that the cold start selects from: verified reasoning traces, with their lengths.

A trace comes with its data set (the item's tag `trace`) or from a teacher behind an
OpenAI-compatible endpoint, one for problems with pictures and one for the others. Either way the
grader has found its answer right, it ended by itself, and it fits into the context of the
fine-tuning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ares.answers.base import RIGHT, Question
from ares.answers.grader import Grader
from ares.backends.base import Decoding, Response
from ares.backends.choose import Choice, open_backend
from ares.backends.store import Kept, Store
from ares.benchmarks.run import Answered, answered
from ares.items import Item
from ares.paperscale.backends import teacher_choice
from ares.paperscale.problems import Selected

_PROBLEM = ["source", "row", "problem_id", "prompt_tokens", "pictures"]
COLUMNS = [*_PROBLEM, "habit", "trace", "text", "n_tokens"]
#: The `habit` of traces that come with the data; of others it is the teacher's name.
OWN = "data set"


@dataclass(frozen=True)
class Trace:
    """A trace that is to be judged.

    place: of the problem, in the table. habit: whose it is. number: tells repeats apart.
    status: of the grader, or why there is no text to grade.
    """

    place: int
    habit: str
    number: int
    text: str
    status: str


def collect(
    config: dict[str, Any],
    problems: pd.DataFrame,
    items: Sequence[Item],
    tokenizer: Any,
    store: str | Path,
) -> tuple[pd.DataFrame, Counter]:
    """The pool of some problems, as `cold_start.traces` of the config wants it; see `pool`.

    Raises:
        UserError: a teacher can't be asked; what it has answered is kept in the store.
    """
    part = config["cold_start"]
    own = [place for place, item in enumerate(items) if item.tags.get("trace")]
    own = [] if part["traces"] == "teachers" else own
    asked = [] if part["traces"] == "own" else sorted(set(range(len(items))) - set(own))
    with Grader() as grader:
        found = list(own_traces(items, own, grader))
        for kind, shown in (("text", False), ("pictures", True)):
            places = [place for place in asked if bool(items[place].images) == shown]
            teacher = teacher_choice(config, kind)
            if places and teacher is not None:
                found += ask(config, teacher, Selected(items, places), places, grader, store)
            else:
                found += [Trace(place, "", 0, "", "no teacher") for place in places]
        if part["traces"] == "own":
            lacking = sorted(set(range(len(items))) - set(own))
            found += [Trace(place, OWN, 0, "", "no trace of its own") for place in lacking]
    return pool(problems, found, tokenizer, part["sft"]["max_length"])


def own_traces(items: Sequence[Item], places: Sequence[int], grader: Grader) -> Iterator[Trace]:
    """The traces that the items at some places bring, graded."""

    def pairs() -> Iterator[tuple[str, Question]]:
        for place in places:
            item = items[place]
            yield item.tags["trace"], item.question

    for place, grade in zip(places, grader.grade_many(pairs()), strict=True):
        yield Trace(place, OWN, 0, items[place].tags["trace"], grade.status)


def ask(
    config: dict[str, Any],
    teacher: Choice,
    items: Sequence[Item],
    places: Sequence[int],
    grader: Grader,
    store: str | Path,
) -> list[Trace]:
    """What a teacher answers to some items, graded; `places` are theirs."""
    teachers = config["cold_start"]["teachers"]
    decoding = Decoding(
        max_tokens=config["cold_start"]["sft"]["max_length"],
        temperature=teachers["temperature"],
        top_p=teachers["top_p"],
    )
    with closing(Store(store)) as kept:
        backend = Kept(open_backend(teacher), kept)
        answers = answered(
            items, backend, grader, decoding, teachers["traces"], config["seed"], "traces"
        )
        return list(teacher_traces(answers, teacher.model, places))


def teacher_traces(
    answers: Iterable[Answered], teacher: str, places: Sequence[int]
) -> Iterator[Trace]:
    """Answers as traces.

    Args:
        answers: to some items, in their order, the samples of an item side by side.
        teacher: its name.
        places: of those items.
    """
    waiting, place = iter(places), -1
    for answer in answers:
        if answer.sample == 0:
            place = next(waiting)
        outcome, text, status = answer.outcome, "", "no response"
        if isinstance(outcome, Response) and answer.grade is not None:
            text, status = outcome.full_text, answer.grade.status
            if outcome.finish != "stop":
                status = f"ended by '{outcome.finish}'"
        yield Trace(place, teacher, answer.sample, text, status)


def pool(
    problems: pd.DataFrame, found: Iterable[Trace], tokenizer: Any, max_length: int
) -> tuple[pd.DataFrame, Counter]:
    """The traces that can be learnt from, a row each, and how many were left out for which reason.

    Args:
        problems: columns source, row, problem_id, prompt_tokens, pictures.
        found: traces; their places are rows of the problems.
        tokenizer: the model's; it counts the tokens of a trace, the end token included.
        max_length: of prompt and trace together, in tokens.
    """
    known = list(problems[_PROBLEM].itertuples(index=False, name=None))
    special = special_ids(tokenizer)
    rows: list[tuple] = []
    left_out: Counter = Counter()
    said: set[tuple[int, str]] = set()
    for trace in found:
        status, n_tokens = trace.status, 0
        if status == RIGHT:
            ids = tokenizer(trace.text, add_special_tokens=False)["input_ids"]
            n_tokens = len(ids) + 1
            if known[trace.place][_PROBLEM.index("prompt_tokens")] + n_tokens > max_length:
                status = f"more than {max_length} tokens with its prompt"
            elif not special.isdisjoint(ids):
                status = "holds a special token"
            elif (trace.place, trace.text) in said:
                status = "said before"
        if status != RIGHT:
            left_out[status] += 1
            continue
        said.add((trace.place, trace.text))
        rows.append((*known[trace.place], trace.habit, trace.number, trace.text, n_tokens))
    return pd.DataFrame(rows, columns=COLUMNS), left_out


def special_ids(tokenizer: Any) -> set[int]:
    """Tokens that a response can't hold: turns, pictures, and the one for unknown words."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | {tokenizer.unk_token_id}
