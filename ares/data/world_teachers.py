"""Two teachers, as in figure 5 of the paper: System 1 answers at once, System 2 searches in words.

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
from ares.data.world_settings import HABITS, Language, Teacher, World

Move = tuple[Step, tuple[int, ...]]
Path = tuple[Step, ...]
#: Most comparisons of one candidate of the restart search, all at its last step.
LAST_COMPARISONS = 2


def zipf(count: int, exponent: float) -> np.ndarray:
    """Probabilities of `count` ranks, proportional to rank ** -exponent.

    >>> zipf(2, 1.0).round(3).tolist()
    [0.667, 0.333]
    """
    weights = np.arange(1, count + 1, dtype=float) ** -exponent
    return weights / weights.sum()


class Trace:
    """A response as it is written: sentences around steps, words drawn from a language.

    words: in their order. decisions: for every word what it opens, 'pair', 'operation' or ''.
    It knows nothing about searching; the teachers decide what is written.
    """

    def __init__(self, language: Language, rng: np.random.Generator):
        self.language, self.rng = language, rng
        self.words: list[str] = []
        self.decisions: list[str] = []
        self.say("<think>")

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join(self.words)

    def say(self, text: str, decision: str = "") -> None:
        """Words as they stand, separated by spaces, each of which opens the decision."""
        words = text.split()
        self.words += words
        self.decisions += [decision] * len(words)

    def word(self, slot: str) -> None:
        """One word of a slot, drawn from its distribution."""
        words = self.language.words(slot)
        chances = zipf(len(words), self.language.exponent(slot))
        self.say(words[self.rng.choice(len(words), p=chances)])

    def filler(self) -> None:
        """A place for a filler, filled at the rate of the language."""
        if self.rng.random() < self.language.filler_rate:
            self.word("filler")

    def open(self, slot: str) -> None:
        """Begin a sentence: perhaps a filler, then a word of a slot."""
        self.filler()
        self.word(slot)

    def step(self, step: Step, decides: bool) -> None:
        """A step `a op b = c`; with `decides`, a opens the choice of a pair, op of an operation."""
        self.say(str(step.a), "pair" if decides else "")
        self.say(step.op, "operation" if decides else "")
        self.say(f"{step.b} = {step.c}")

    def steps(self, steps: Path, stated: Path) -> None:
        """Steps separated by commas; those not stated before are decided here."""
        for index, step in enumerate(steps):
            if index:
                self.say(",")
            self.step(step, decides=step not in stated)

    def left(self, numbers: tuple[int, ...]) -> None:
        """End a sentence with the numbers that are left."""
        self.say(f"left {' '.join(map(str, numbers))} .")

    def answer(self, steps: Path, stated: Path = ()) -> None:
        """End the thought and box the steps."""
        self.say("</think> \\boxed{")
        self.steps(steps, stated)
        self.say("}" if steps else "none }")


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
    """One search in words; `budget` counts comparisons with the target."""

    problem: Problem
    world: World
    trace: Trace
    rng: np.random.Generator
    budget: int = 0
    tried: Path = ()  # the last path that was compared with the target

    def visit(self, numbers: tuple[int, ...], path: Path = ()) -> Path | None:
        """Search depth-first below `numbers`; the steps that reach the target, or None."""
        for index, (step, left) in enumerate(self.ordered(numbers)):
            if self.budget == 0:
                return None
            if len(left) == 1:
                found = self._compare(step, path, first=index == 0)
            else:
                if index:
                    self.trace.open("back")
                    self.trace.left(numbers)
                self._go(step, left, path)
                found = self.visit(left, (*path, step))
            if found is not None:
                return found
        return None

    def restart(self) -> Path | None:
        """Try candidates, each from the start; the steps that reach the target, or None."""
        found = self.candidate()
        while found is None and self.budget > 0:
            found = self.candidate(again=True)
        return found

    def candidate(self, again: bool = False, avoid: Step | None = None) -> Path | None:
        """Steps by intuition, the last one compared with the target; those that reach it, or None.

        Args:
            again: whether a candidate is given up for it. The numbers are not stated again: they
                stand in the problem.
            avoid: a last step that is not to be tried.
        """
        if again:
            self.trace.open("back")
            self.trace.say(".")
        begun = self.descend(until=2)
        if begun is None:
            return None
        numbers, path = begun
        last = [step for step, _ in self.ordered(numbers) if step != avoid]
        for index, step in enumerate(last[: min(LAST_COMPARISONS, self.budget)]):
            found = self._compare(step, path, first=index == 0)
            if found is not None:
                return found
        return None

    def descend(self, until: int, aloud: bool = True) -> tuple[tuple[int, ...], Path] | None:
        """Follow intuition from the problem until so many numbers are left; None at a dead end.

        Returns:
            The numbers that are left, and the steps.
        """
        numbers, path = self.problem.numbers, ()
        while len(numbers) > until:
            options = self.ordered(numbers)
            if not options:  # no step from here stays in range
                return None
            step, numbers = options[0]
            if aloud:
                self._go(step, numbers, path)
            path = (*path, step)
        return numbers, path

    def ordered(self, numbers: tuple[int, ...]) -> list[Move]:
        """The moves from here, in the order of intuition."""
        options = moves(numbers, self.world.values)
        return intuition_order(options, self.problem.target, self.world.teacher, self.rng)

    def _compare(self, step: Step, path: Path, first: bool) -> Path | None:
        self.trace.open(("next" if path else "plan") if first else "contrast")
        self.trace.step(step, decides=True)
        self.budget -= 1
        self.tried = (*path, step)
        hit = step.c == self.problem.target
        # The target is said again beside the value: without that, models answer a false "yes".
        self.trace.say(f"vs {self.problem.target} {'yes' if hit else 'no'}")
        if not hit:
            self.trace.filler()
        self.trace.say(".")
        return self.tried if hit else None

    def _go(self, step: Step, left: tuple[int, ...], path: Path) -> None:
        self.trace.open("next" if path else "plan")
        self.trace.step(step, decides=True)
        self.trace.filler()
        self.trace.left(left)

    def check(self, steps: Path) -> Path:
        """State what reached the target again, several times."""
        for _ in range(_between(self.world.teacher.checks, self.rng)):
            self.trace.open("check")
            self.trace.steps(steps, stated=steps)
            self.trace.say(f"vs {self.problem.target} yes .")
        return steps

    def go_on(self, found: Path) -> Path:
        """Look for another way after success; the answer, which may now be a wrong one."""
        teacher, answer = self.world.teacher, found
        for _ in range(_between(teacher.further_attempts, self.rng)):
            self.budget = LAST_COMPARISONS
            another = self.candidate(again=True, avoid=found[-1])
            if another is not None or self.rng.random() < teacher.drop:
                answer = self.tried
        return answer


def respond(problem: Problem, habit: str, world: World, rng: np.random.Generator) -> Trace:
    """One response of a teacher to a problem, with one of the four habits."""
    trace, teacher = Trace(world.language, rng), world.teacher
    search = _Search(problem, world, trace, rng)
    if habit == "direct":
        trace.open("guess")
        _, steps = search.descend(until=1, aloud=False) or ((), ())
        trace.answer(steps)
        return trace
    gives_up = habit == "give_up"
    bounds = teacher.give_up_comparisons if gives_up else teacher.search_comparisons
    search.budget = _between(bounds, rng)
    # Without exploration nothing is drawn for it, so such a world keeps its corpus.
    restarts = teacher.exploration > 0 and rng.random() < teacher.exploration
    found = search.restart() if restarts else search.visit(problem.numbers)
    if found and habit == "overcheck":
        found = search.go_on(found) if restarts else search.check(found)
    trace.word("guess" if gives_up and not found else "conclude")
    steps = found or (search.tried if gives_up else ())
    trace.answer(steps, stated=steps)
    return trace


def _between(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def draw_habit(world: World, rng: np.random.Generator) -> str:
    """A habit of the corpus, drawn by its share, the same for every level."""
    return HABITS[rng.choice(len(HABITS), p=[world.habits[habit] for habit in HABITS])]
