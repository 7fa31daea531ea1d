"""Two teachers, as in figure 5 of the paper: System 1 answers, System 2 searches and says so.

System 2 searches by the same intuition by which System 1 answers, in one of two ways. The
depth-first search backtracks from the end, so within a budget it rarely gets back to its first
step. The restart search works out complete candidates, each from the problem's own numbers: every
comparison is about as likely to succeed as the last one. The setting `exploration` is the share of
traces that restart. Four habits (settings `habits`) mix the systems into a corpus in which length
does not follow difficulty: the overthinking on easy problems and the giving up on hard ones that
the paper starts from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ares.data.countdown import Problem, Step, moves
from ares.data.language import Speaker, Trace
from ares.data.world_settings import HABITS, Teacher, World

Move = tuple[Step, tuple[int, ...]]
#: Most comparisons of one candidate of the restart search, all at its last step.
LAST_COMPARISONS = 2


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
    """One search that speaks; `budget` counts comparisons with the target."""

    problem: Problem
    world: World
    speaker: Speaker
    rng: np.random.Generator
    budget: int
    tried: tuple[Step, ...] = ()  # the last path that was compared with the target

    def visit(self, numbers: tuple[int, ...], path: tuple[Step, ...]) -> tuple[Step, ...] | None:
        """Search depth-first below `numbers`; the steps that reach the target, or None."""
        for index, (step, left) in enumerate(self._ordered(numbers)):
            if self.budget == 0:
                return None
            if len(left) == 1:
                found = self._compare(step, path, first=index == 0)
            else:
                found = self._descend(step, left, numbers, path, first=index == 0)
            if found is not None:
                return found
        return None

    def restart(self) -> tuple[Step, ...] | None:
        """Try candidates, each from the start; the steps that reach the target, or None."""
        found = self.candidate()
        while found is None and self.budget > 0:
            self.wait()
            found = self.candidate()
        return found

    def wait(self) -> None:
        """Give up a candidate. The numbers are not stated again: they stand in the problem."""
        self.speaker.filler()
        self.speaker.word("back")
        self.speaker.say(".")

    def candidate(self, avoid: Step | None = None) -> tuple[Step, ...] | None:
        """Steps by intuition, the last one compared with the target; those that reach it, or None.

        Args:
            avoid: a last step that is not to be tried.
        """
        numbers, path = self.problem.numbers, ()
        while len(numbers) > 2:
            options = self._ordered(numbers)
            if not options:  # a dead end: no step from here stays in range
                return None
            step, numbers = options[0]
            self._step(step, numbers, path)
            path = (*path, step)
        last = [step for step, _ in self._ordered(numbers) if step != avoid]
        for index, step in enumerate(last[: min(LAST_COMPARISONS, self.budget)]):
            found = self._compare(step, path, first=index == 0)
            if found is not None:
                return found
        return None

    def _ordered(self, numbers: tuple[int, ...]) -> list[Move]:
        options = moves(numbers, self.world.values)
        return intuition_order(options, self.problem.target, self.world.teacher, self.rng)

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
        self._step(step, left, path)
        return self.visit(left, (*path, step))

    def _step(self, step: Step, left: tuple[int, ...], path: tuple[Step, ...]) -> None:
        self.speaker.filler()
        self.speaker.word("next" if path else "plan")
        self.speaker.step(step, decides=True)
        self.speaker.filler()
        self.speaker.left(left)
        self.speaker.say(".")


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
    # Without exploration nothing is drawn for it: such a world says what it always said.
    restarts = teacher.exploration > 0 and rng.random() < teacher.exploration
    found = search.restart() if restarts else search.visit(problem.numbers, ())
    if found and habit == "overcheck":
        if restarts:
            found = _go_on(search, found)
        else:
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


def _go_on(search: _Search, found: tuple[Step, ...]) -> tuple[Step, ...]:
    """Look for another way after success; the answer, which may now be a wrong one."""
    teacher, rng, answer = search.world.teacher, search.rng, found
    for _ in range(_between(teacher.further_attempts, rng)):
        search.budget = LAST_COMPARISONS
        search.wait()
        another = search.candidate(avoid=found[-1])
        if another is not None or rng.random() < teacher.drop:
            answer = search.tried
    return answer


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
