"""The pool that the cold start selects from: verified reasoning traces, from their sources.

A trace comes with its data set (the item's tag `trace`), from a model behind an OpenAI-compatible
endpoint, one for problems with pictures and one for the others, or from the teachers of the small
world. A store keeps what an endpoint has answered, so a run that is killed loses nothing. The
grader decides whether a trace is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ares.backends.base import Decoding, Failure, Response
from ares.backends.server import Budget, ServerBackend
from ares.backends.store import CachedBackend, Store
from ares.config import Scale
from ares.data.items import Item, Problems, row_seed
from ares.data.world import problem_of
from ares.data.world_settings import HABITS, World, load_world
from ares.data.world_teachers import respond
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.grades import RIGHT
from ares.evaluation.run import Answered, answered
from ares.model.processor import tokenizer_of
from ares.tables import TRACE

#: The `habit` of traces that come with the data; that of others names the teacher.
OWN = "data set"


@dataclass(frozen=True)
class TeacherTrace:
    """A trace that is to be judged."""

    place: int  #: of its problem, in the table
    habit: str  #: the teacher, and the options of the request if there are several
    number: int  #: counts the traces of one problem and habit
    text: str
    status: str  #: of the grader, or why there is no text to grade


def pool(
    problems: pd.DataFrame, found: Iterable[TeacherTrace], processor: Any, room: Sequence[int]
) -> tuple[pd.DataFrame, Counter]:
    """The traces that can be learnt from, a row each, and how many were left out for which reason.

    A trace is kept when it is right, fits, holds no special token and was not said before.

    Args:
        problems: one row each; the places of the traces are these rows.
        room: tokens that a trace of each problem may have, the end token included.

    Returns:
        The table of the pool, see `ares.tables`; and the reasons.
    """
    tokenizer = tokenizer_of(processor)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special.add(tokenizer.unk_token_id)
    places: list[int] = []
    rows: list[tuple] = []
    left_out: Counter = Counter()
    said: set[tuple[int, str]] = set()
    for trace in found:
        status, n_tokens = trace.status, 0
        if status == RIGHT:
            ids = tokenizer(trace.text, add_special_tokens=False)["input_ids"]
            n_tokens = len(ids) + 1
            if n_tokens > room[trace.place]:
                status = "too long to be learnt from"
            elif not special.isdisjoint(ids):
                status = "holds a special token"
            elif (trace.place, trace.text) in said:
                status = "said before"
        if status != RIGHT:
            left_out[status] += 1
            continue
        said.add((trace.place, trace.text))
        places.append(trace.place)
        rows.append((trace.habit, trace.number, trace.text, n_tokens))
    kept = problems.iloc[places].reset_index(drop=True)
    return pd.concat([kept, pd.DataFrame(rows, columns=list(TRACE))], axis=1), left_out


def room_for_traces(scale: Scale, problems: pd.DataFrame) -> list[int]:
    """Tokens that a trace of each problem may have; see `longest_trace`."""
    prompts = problems["prompt_tokens"].tolist() if scale.of_data_sets else [0] * len(problems)
    return [longest_trace(scale) - tokens for tokens in prompts]


def longest_trace(scale: Scale) -> int:
    """Most tokens of a trace: for data sets the context of the fine-tuning, prompt included.

    In the small world, where prompts are short, the longest response of reinforcement learning.
    """
    sizes = scale.cold_start.sft.max_length, scale.aepo.max_new_tokens
    return sizes[0] if scale.of_data_sets else sizes[1]


def collect(scale: Scale, problems: Problems, store: str | Path) -> list[TeacherTrace]:
    """Traces of some problems from the sources in `cold_start` of the scale, in their order.

    Raises:
        UserError: a teacher can't be asked; its answers so far are kept in the store.
    """
    whose, items = scale.cold_start.traces, problems.items
    own = {place: item.tags["trace"] for place, item in enumerate(items) if item.tags.get("trace")}
    own = {} if whose == "teachers" else own
    others = [place for place in range(len(items)) if place not in own]
    with Grader() as grader:
        grades = grader.grade_many((text, items[place].question) for place, text in own.items())
        found = [
            TeacherTrace(place, OWN, 0, text, grade.status)
            for (place, text), grade in zip(own.items(), grades, strict=True)
        ]
        if whose == "own":
            found += [TeacherTrace(place, OWN, 0, "", "no trace of its own") for place in others]
            others = []
        for kind in ("text", "pictures"):
            places = [at for at in others if bool(items[at].images) == (kind == "pictures")]
            teacher = teacher_server(scale, kind)
            if places and teacher is not None:
                found += ask(scale, teacher, problems.some(places).items, places, grader, store)
            elif scale.of_data_sets:
                found += [TeacherTrace(place, "", 0, "", "no teacher") for place in places]
            else:
                number, world = scale.cold_start.teachers.traces, load_world(scale.world)
                found += habits(items, places, world, number, scale.seed, grader)
    return sorted(found, key=lambda trace: trace.place)


def habits(
    items: Sequence[Item],
    places: Sequence[int],
    world: World,
    number: int,
    seed: int,
    grader: Grader,
) -> Iterator[TeacherTrace]:
    """The small world's teachers: `number` traces of each of the four habits.

    System 1 is 'direct', System 2 are the others. A trace depends on the problem, the habit and its
    number alone: both presentations of a problem get the same traces, and asking for more of them
    leaves the first ones as they were.
    """
    for place in places:
        item = items[place]
        problem, _ = problem_of(item.question.gold) or (None, None)
        if problem is None:
            raise UserError(f"problem {item.id} is none of the small world: name a teacher for it")
        for habit, index in product(HABITS, range(number)):
            rng = np.random.default_rng(row_seed(seed, problem.id, habit, index))
            text = respond(problem, habit, world, rng).text
            yield TeacherTrace(place, habit, index, text, grader.grade(text, item.question).status)


def teacher_server(scale: Scale, kind: str) -> ServerBackend | None:
    """The teacher of a kind of problems, text or pictures; None where the scale names none.

    Raises:
        UserError: it has a url and no model.
    """
    teachers = scale.cold_start.teachers
    teacher = teachers.pictures if kind == "pictures" else teachers.text
    if not teacher.url:
        return None
    if not teacher.model:
        raise UserError(
            f"cold_start.teachers.{kind}: has a url and no model: name the one that is served there"
        )
    return ServerBackend(
        teacher.url,
        teacher.model,
        parallel=teachers.parallel,
        key_variable=teacher.key_variable,
        budget=Budget(teachers.max_requests or None, teachers.max_tokens or None),
    )


def ask(
    scale: Scale,
    teacher: ServerBackend,
    items: Sequence[Item],
    places: Sequence[int],
    grader: Grader,
    store: str | Path,
) -> Iterator[TeacherTrace]:
    """A teacher's answers to the items at some `places`, graded, with every option of the scale."""
    part, seed = scale.cold_start.teachers, scale.seed
    options = list(product(part.efforts or (None,), part.temperatures or (None,)))
    with Store(store) as kept:
        for effort, temperature in options:
            # What is not set is not sent either, as some servers refuse it.
            body: dict[str, Any] = {} if effort is None else {"reasoning_effort": effort}
            body |= {"temperature": None, "top_p": None} if temperature is None else {}
            drawn = 1.0 if temperature is None else temperature
            decoding = Decoding(longest_trace(scale), drawn, part.top_p)
            backend = CachedBackend(replace(teacher, extra_body=body), kept)
            answers = answered(items, backend, grader, decoding, part.traces, seed, "traces")
            pairs = (("effort", effort), ("temperature", temperature))
            given = [f"{name} {value}" for name, value in pairs if value is not None]
            habit = ", ".join([teacher.model, *given] if len(options) > 1 else [teacher.model])
            yield from teacher_traces(answers, habit, places)


def teacher_traces(
    answers: Iterable[Answered], habit: str, places: Sequence[int]
) -> Iterator[TeacherTrace]:
    """Answers to items at some `places`, in their order, the samples of an item side by side."""
    waiting, place = iter(places), -1
    for answer in answers:
        if answer.sample == 0:
            place = next(waiting)
        outcome = answer.outcome
        if isinstance(outcome, Response) and answer.grade is not None:
            ended = outcome.finish == "stop"
            status = answer.grade.status if ended else f"ended by '{outcome.finish}'"
            yield TeacherTrace(place, habit, answer.sample, outcome.full_text, status)
        else:
            why = f": {outcome.reason}" if isinstance(outcome, Failure) else ""
            yield TeacherTrace(place, habit, answer.sample, "", f"no response{why}")
