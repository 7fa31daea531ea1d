"""Where the traces of the pool come from: the interface, and the teachers of the small world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ares.errors import UserError
from ares.sampling.rollouts import Task
from ares.seeds import row_seed
from ares.world.settings import HABITS, World
from ares.world.teachers import respond


class SourceStopped(UserError):
    """A source has reached a limit that the user set; what it gave before stays good."""


@dataclass(frozen=True)
class TeacherTrace:
    """One response of a teacher: `habit` says in which manner, `index` tells repeats apart."""

    habit: str
    index: int
    text: str


class TeacherSource(Protocol):
    """Anything that answers a task with traces, right or wrong; the pool verifies them."""

    def traces(self, task: Task) -> list[TeacherTrace]:
        """All traces of one task; the same call gives the same traces.

        Raises:
            SourceStopped: a limit is reached, for instance a budget.
        """
        ...


@dataclass(frozen=True)
class SmallWorldTeachers:
    """The four habits, `number` traces each: System 1 is 'direct', System 2 are the others.

    A trace depends on the problem, the habit and its index alone: both presentations of a problem
    get the same traces, and asking for more of them leaves the first ones as they were.
    """

    world: World
    number: int
    seed: int

    def traces(self, task: Task) -> list[TeacherTrace]:
        """Traces of every habit."""
        return [
            TeacherTrace(habit, index, self._speak(task, habit, index))
            for habit in HABITS
            for index in range(self.number)
        ]

    def _speak(self, task: Task, habit: str, index: int) -> str:
        rng = np.random.default_rng(row_seed(self.seed, task.problem.id, habit, index))
        return respond(task.problem, habit, self.world, rng).text
