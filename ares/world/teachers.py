"""Two teachers, as in figure 5 of the paper: System 1 answers, System 2 searches and says so.

System 2 is a depth-first search with backtracking, its branches ordered by the same intuition by
which System 1 answers. Four habits (settings `habits`) mix the two into a corpus in which length
does not follow difficulty: the overthinking on easy problems and the giving up on hard ones that
the paper starts from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ares.world.language import Speaker, Trace
from ares.world.problem import Problem, Step, moves
from ares.world.settings import HABITS, Teacher, World

Move = tuple[Step, tuple[int, ...]]


def intuition_order(
    options: list[Move], target: int, teacher: Teacher, rng: np.random.Generator
) -> list[Move]:
    """Order moves by Plackett-Luce sampling from softmax(-|result - target| / temperature)."""
    last = bool(options) and len(options[0][1]) == 1
    temperature = teacher.intuition_last if last else teacher.intuition_early
    scores = np.array([-abs(step.c - target) / temperature for step, _ in options])
    # Sorting by Gumbel-perturbed scores draws without replacement from the softmax.
    order = np.argsort(-(scores + rng.gumbel(size=len(options))), kind="stable")
    return [options[i] for i in order]


@dataclass
class _Search:
    """One depth-first search that speaks; `budget` counts comparisons with the target."""

    problem: Problem
    world: World
    speaker: Speaker
    rng: np.random.Generator
    budget: int
    tried: tuple[Step, ...] = ()  # the last path that was compared with the target

    def visit(self, numbers: tuple[int, ...], path: tuple[Step, ...]) -> tuple[Step, ...] | None:
        """Search below `numbers`; the steps that reach the target, or None."""
        options = moves(numbers, self.world.values)
        ordered = intuition_order(options, self.problem.target, self.world.teacher, self.rng)
        for index, (step, left) in enumerate(ordered):
            if self.budget == 0:
                return None
            if len(left) == 1:
                found = self._compare(step, path, first=index == 0)
            else:
                found = self._descend(step, left, numbers, path, first=index == 0)
            if found is not None:
                return found
        return None

    def _compare(self, step: Step, path: tuple[Step, ...], first: bool) -> tuple[Step, ...] | None:
        self.speaker.filler()
        self.speaker.word(("next" if path else "plan") if first else "contrast")
        self.speaker.step(step, decides=True)
        self.budget -= 1
        self.tried = (*path, step)
        hit = step.c == self.problem.target
        # The target is said again beside the value: without that, models answer a false "yes".
        self.speaker.say(f"vs {self.problem.target} {'yes' if hit else 'no'}")
        if not hit:
            self.speaker.filler()
        self.speaker.say(".")
        return self.tried if hit else None

    def _descend(
        self,
        step: Step,
        left: tuple[int, ...],
        numbers: tuple[int, ...],
        path: tuple[Step, ...],
        first: bool,
    ) -> tuple[Step, ...] | None:
        if not first:
            self.speaker.filler()
            self.speaker.word("back")
            self.speaker.left(numbers)
            self.speaker.say(".")
        self.speaker.filler()
        self.speaker.word("next" if path else "plan")
        self.speaker.step(step, decides=True)
        self.speaker.filler()
        self.speaker.left(left)
        self.speaker.say(".")
        return self.visit(left, (*path, step))


def _guess(problem: Problem, world: World, rng: np.random.Generator) -> tuple[Step, ...]:
    """Steps by intuition alone, never compared with the target."""
    numbers = problem.numbers
    path: tuple[Step, ...] = ()
    while len(numbers) > 1:
        options = intuition_order(moves(numbers, world.values), problem.target, world.teacher, rng)
        if not options:  # a dead end: no step from here stays in range
            return ()
        step, numbers = options[0]
        path = (*path, step)
    return path


def _direct(problem: Problem, world: World, rng: np.random.Generator) -> Trace:
    speaker = Speaker(world.language, rng)
    speaker.say("<think>")
    speaker.filler()
    speaker.word("guess")
    speaker.answer(_guess(problem, world, rng), stated=set())
    return speaker.trace


def _searching(habit: str, problem: Problem, world: World, rng: np.random.Generator) -> Trace:
    teacher = world.teacher
    gives_up = habit == "give_up"
    budget = _between(teacher.give_up_comparisons if gives_up else teacher.search_comparisons, rng)
    speaker = Speaker(world.language, rng)
    speaker.say("<think>")
    search = _Search(problem, world, speaker, rng, budget)
    found = search.visit(problem.numbers, ())
    if found and habit == "overcheck":
        _check_again(speaker, problem, found, _between(teacher.checks, rng))
    speaker.word("guess" if gives_up and not found else "conclude")
    steps = found or (search.tried if gives_up else ())
    speaker.answer(steps, stated=set(steps))
    return speaker.trace


def _between(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _check_again(speaker: Speaker, problem: Problem, steps: tuple[Step, ...], times: int) -> None:
    for _ in range(times):
        speaker.filler()
        speaker.word("check")
        for index, step in enumerate(steps):
            if index:
                speaker.say(",")
            speaker.step(step, decides=False)
        speaker.say(f"vs {problem.target} yes .")


def respond(problem: Problem, habit: str, world: World, rng: np.random.Generator) -> Trace:
    """One response of a teacher to a problem, with one of the four habits."""
    if habit == "direct":
        return _direct(problem, world, rng)
    if habit not in HABITS:
        raise ValueError(f"unknown habit '{habit}'; known are {', '.join(HABITS)}")
    return _searching(habit, problem, world, rng)


def draw_habit(world: World, rng: np.random.Generator) -> str:
    """A habit of the corpus, drawn by its share, the same for every level."""
    return HABITS[rng.choice(len(HABITS), p=[world.habits[habit] for habit in HABITS])]
