"""The sources of the traces of the pool; the grader decides whether a trace is right.

A trace comes with its data set (the item's tag `trace`), from a model behind an OpenAI-compatible
endpoint, one for problems with pictures and one for the others, or from the teachers of the small
world. A store keeps what an endpoint has answered, so a run that is killed loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product, starmap
from pathlib import Path
from typing import Any

import numpy as np

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
from ares.evaluation.run import Answered, answered

#: The `habit` of traces that come with the data; that of others names the teacher.
OWN = "data set"


@dataclass(frozen=True)
class TeacherTrace:
    """A trace that is to be judged."""

    place: int  #: of its problem, in the table
    habit: str  #: the teacher, and the manner of asking if there are several
    number: int  #: counts the traces of one problem and habit
    text: str
    status: str  #: of the grader, or why there is no text to grade


def collect(scale: Scale, problems: Problems, store: str | Path) -> list[TeacherTrace]:
    """Traces of some problems from the sources in `cold_start` of the scale, in their order.

    Raises:
        UserError: a teacher can't be asked; its answers so far are kept in the store.
    """
    whose, items = scale.cold_start.traces, problems.items
    own = [place for place, item in enumerate(items) if item.tags.get("trace")]
    own = [] if whose == "teachers" else own
    others = sorted(set(range(len(items))) - set(own))
    with Grader() as grader:
        found = list(_own_traces(items, own, grader))
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


def longest_trace(scale: Scale) -> int:
    """Most tokens of a trace: for data sets the context of the fine-tuning, prompt included.

    In the small world, where prompts are short, the longest response of reinforcement learning.
    """
    sizes = scale.cold_start.sft.max_length, scale.aepo.max_new_tokens
    return sizes[0] if scale.of_data_sets else sizes[1]


def _own_traces(
    items: Sequence[Item], places: Sequence[int], grader: Grader
) -> Iterator[TeacherTrace]:
    """The traces that the items at some places bring, graded."""
    pairs = ((items[place].tags["trace"], items[place].question) for place in places)
    for place, grade in zip(places, grader.grade_many(pairs), strict=True):
        yield TeacherTrace(place, OWN, 0, items[place].tags["trace"], grade.status)


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


@dataclass(frozen=True)
class Manner:
    """How a question is asked; an option that is None is not sent, as some servers refuse it."""

    effort: str | None = None
    temperature: float | None = None

    @property
    def name(self) -> str:
        """The options that are sent, in words."""
        given = (("effort", self.effort), ("temperature", self.temperature))
        return ", ".join(f"{name} {value}" for name, value in given if value is not None)

    @property
    def extra_body(self) -> dict[str, Any]:
        """Changes to the body of a plain request; None takes a field out.

        >>> Manner("low").extra_body
        {'reasoning_effort': 'low', 'temperature': None, 'top_p': None}
        """
        effort = {} if self.effort is None else {"reasoning_effort": self.effort}
        return effort | ({"temperature": None, "top_p": None} if self.temperature is None else {})


def ask(
    scale: Scale,
    teacher: ServerBackend,
    items: Sequence[Item],
    places: Sequence[int],
    grader: Grader,
    store: str | Path,
) -> Iterator[TeacherTrace]:
    """A teacher's answers to the items at some `places`, in every manner, graded."""
    part = scale.cold_start.teachers
    every = list(starmap(Manner, product(part.efforts or (None,), part.temperatures or (None,))))
    with closing(Store(store)) as kept:
        for manner in every:
            temperature = 1.0 if manner.temperature is None else manner.temperature
            decoding = Decoding(longest_trace(scale), temperature, part.top_p)
            backend = replace(teacher, extra_body=manner.extra_body)
            answers = answered(
                items,
                CachedBackend(backend, kept),
                grader,
                decoding,
                part.traces,
                scale.seed,
                "traces",
            )
            habit = teacher.model if len(every) == 1 else f"{teacher.model}, {manner.name}"
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
