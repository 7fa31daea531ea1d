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

from dataclasses import dataclass, field

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


@dataclass
class Utterance:
    """A response as words, with what opens a decision: '', 'pair' or 'operation' per word."""

    words: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(self.words)


class Speaker:
    """Writes one trace: sentences around steps, words drawn from a language.

    It knows nothing about searching; the teachers decide what is said.
    """

    def __init__(self, language: Language, rng: np.random.Generator):
        self.language, self.rng, self.trace = language, rng, Utterance()
        self.say("<think>")

    def say(self, text: str, decision: str = "") -> None:
        """Words as they stand, separated by spaces, each of which opens the decision."""
        for word in text.split():
            self.trace.words.append(word)
            self.trace.decisions.append(decision)

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
    """One search that speaks; `budget` counts comparisons with the target."""

    problem: Problem
    world: World
    speaker: Speaker
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
                    self.speaker.open("back")
                    self.speaker.left(numbers)
                self._go(step, left, path)
                found = self.visit(left, (*path, step))
            if found is not None:
                return found
        return None

    def restart(self) -> Path | None:
        """Try candidates, each from the start; the steps that reach the target, or None."""
        found = self.candidate()
        while found is None and self.budget > 0:
            self.wait()
            found = self.candidate()
        return found

    def wait(self) -> None:
        """Give up a candidate. The numbers are not stated again: they stand in the problem."""
        self.speaker.open("back")
        self.speaker.say(".")

    def candidate(self, avoid: Step | None = None) -> Path | None:
        """Steps by intuition, the last one compared with the target; those that reach it, or None.

        Args:
            avoid: a last step that is not to be tried.
        """
        numbers = self.problem.numbers
        path: Path = ()
        while len(numbers) > 2:
            options = self.ordered(numbers)
            if not options:  # a dead end: no step from here stays in range
                return None
            step, numbers = options[0]
            self._go(step, numbers, path)
            path = (*path, step)
        last = [step for step, _ in self.ordered(numbers) if step != avoid]
        for index, step in enumerate(last[: min(LAST_COMPARISONS, self.budget)]):
            found = self._compare(step, path, first=index == 0)
            if found is not None:
                return found
        return None

    def guess(self) -> Path:
        """Steps by intuition alone, neither said nor compared with the target."""
        numbers = self.problem.numbers
        path: Path = ()
        while len(numbers) > 1:
            options = self.ordered(numbers)
            if not options:
                return ()
            step, numbers = options[0]
            path = (*path, step)
        return path

    def ordered(self, numbers: tuple[int, ...]) -> list[Move]:
        """The moves from here, in the order of intuition."""
        options = moves(numbers, self.world.values)
        return intuition_order(options, self.problem.target, self.world.teacher, self.rng)

    def _compare(self, step: Step, path: Path, first: bool) -> Path | None:
        self.speaker.open(("next" if path else "plan") if first else "contrast")
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

    def _go(self, step: Step, left: tuple[int, ...], path: Path) -> None:
        self.speaker.open("next" if path else "plan")
        self.speaker.step(step, decides=True)
        self.speaker.filler()
        self.speaker.left(left)

    def check_again(self, steps: Path) -> None:
        """State what reached the target again."""
        self.speaker.open("check")
        self.speaker.steps(steps, stated=steps)
        self.speaker.say(f"vs {self.problem.target} yes .")

    def go_on(self, found: Path) -> Path:
        """Look for another way after success; the answer, which may now be a wrong one."""
        teacher, answer = self.world.teacher, found
        for _ in range(_between(teacher.further_attempts, self.rng)):
            self.budget = LAST_COMPARISONS
            self.wait()
            another = self.candidate(avoid=found[-1])
            if another is not None or self.rng.random() < teacher.drop:
                answer = self.tried
        return answer


def respond(problem: Problem, habit: str, world: World, rng: np.random.Generator) -> Utterance:
    """One response of a teacher to a problem, with one of the four habits."""
    if habit not in HABITS:
        raise ValueError(f"unknown habit '{habit}'; known are {', '.join(HABITS)}")
    speaker = Speaker(world.language, rng)
    search = _Search(problem, world, speaker, rng)
    if habit == "direct":
        speaker.open("guess")
        speaker.answer(search.guess())
    else:
        _search(search, habit)
    return speaker.trace


def _search(search: _Search, habit: str) -> None:
    teacher, rng, gives_up = search.world.teacher, search.rng, habit == "give_up"
    bounds = teacher.give_up_comparisons if gives_up else teacher.search_comparisons
    search.budget = _between(bounds, rng)
    # Without exploration nothing is drawn for it: such a world says what it always said.
    restarts = teacher.exploration > 0 and rng.random() < teacher.exploration
    found = search.restart() if restarts else search.visit(search.problem.numbers)
    if found and habit == "overcheck" and restarts:
        found = search.go_on(found)
    elif found and habit == "overcheck":
        for _ in range(_between(teacher.checks, rng)):
            search.check_again(found)
    search.speaker.word("guess" if gives_up and not found else "conclude")
    steps = found or (search.tried if gives_up else ())
    search.speaker.answer(steps, stated=steps)


def _between(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def draw_habit(world: World, rng: np.random.Generator) -> str:
    """A habit of the corpus, drawn by its share, the same for every level."""
    return HABITS[rng.choice(len(HABITS), p=[world.habits[habit] for habit in HABITS])]
