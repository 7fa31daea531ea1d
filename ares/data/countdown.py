"""Countdown problems: k numbers, a target, and the moves that lead from one to the other.

A problem is the MULTISET of its numbers and the target; the order in which they are shown belongs
to a presentation, so that a permutation never moves a problem from one split to another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, compress, product

import numpy as np

from ares.data.world_settings import SPLITS, World
from ares.errors import UserError

OPERATIONS = ("+", "-", "x")


@dataclass(frozen=True)
class Step:
    """One step `a op b = c`, larger operand first as the teachers write it."""

    a: int
    op: str
    b: int
    c: int


@dataclass(frozen=True)
class Problem:
    """Numbers in the order in which they are shown, and the target."""

    numbers: tuple[int, ...]
    target: int

    @property
    def id(self) -> str:
        """Canonical name, the same for every order of the numbers.

        >>> Problem((8, 3, 5), 19).id
        '3-5-8=19'
        """
        return "-".join(map(str, sorted(self.numbers))) + f"={self.target}"


def apply(a: int, op: str, b: int) -> int:
    """The value of `a op b`."""
    return a + b if op == "+" else a - b if op == "-" else a * b


def moves(numbers: tuple[int, ...], values: tuple[int, int]) -> list[tuple[Step, tuple[int, ...]]]:
    """All distinct steps from `numbers` whose value is in range, with the numbers that are left.

    The result of a step stands first among what is left, as a reader would keep it in mind.
    """
    seen: dict[Step, tuple[int, ...]] = {}
    for i, j in combinations(range(len(numbers)), 2):
        a, b = max(numbers[i], numbers[j]), min(numbers[i], numbers[j])
        rest = tuple(n for k, n in enumerate(numbers) if k not in (i, j))
        for op in OPERATIONS:
            value = apply(a, op, b)
            if values[0] <= value <= values[1]:
                seen.setdefault(Step(a, op, b, value), (value, *rest))
    return list(seen.items())


def check_problem(problem: Problem, world: World) -> None:
    """Refuse a problem that this world can't state or that has no solution.

    Raises:
        UserError: a number or the target is out of range, or no steps reach the target.
    """
    stated = [("numbers", number) for number in problem.numbers]
    for key, value in (*stated, ("values", problem.target)):
        low, high = getattr(world, key)
        if not low <= value <= high:
            raise UserError(
                f"problem {problem.id}: {value} is outside {low} to {high}; change it, or the "
                f"range '{key}' in the world file"
            )
    if len(problem.numbers) < 2:
        raise UserError(f"problem {problem.id}: give at least two numbers")
    if problem.target not in reachable(tuple(sorted(problem.numbers)), world.values):
        raise UserError(f"problem {problem.id}: unsolvable with +, - and x; choose another target")


def split_of(problem: Problem, world: World) -> str:
    """The split of a problem: where the hash of its canonical name falls among the shares."""
    digest = hashlib.sha256(problem.id.encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    for name in SPLITS[:-1]:
        if position < world.split[name]:
            return name
        position -= world.split[name]
    return SPLITS[-1]


@lru_cache(maxsize=200_000)
def reachable(numbers: tuple[int, ...], values: tuple[int, int]) -> frozenset[int]:
    """Every target that some steps reach from `numbers` (sorted, so that orders share a result).

    The last step combines a value of some of the numbers with a value of the others. Going over
    these halves visits each of the 2 ** k subsets once; going over moves would visit every state
    of every search, ten times as long for six numbers.
    """
    if len(numbers) == 1:
        return frozenset(numbers)
    targets: set[int] = set()
    first, *rest = numbers
    for dealt in product((True, False), repeat=len(rest)):
        one = first, *compress(rest, dealt)
        other = tuple(n for n, taken in zip(rest, dealt, strict=True) if not taken)
        if other:
            for pair in product(reachable(one, values), reachable(other, values)):
                a, b = max(pair), min(pair)
                targets.update((a + b, a - b, a * b))
    return frozenset(value for value in targets if values[0] <= value <= values[1])


@lru_cache(maxsize=20_000)
def guess_chances(
    numbers: tuple[int, ...], values: tuple[int, int], temperatures: tuple[float, float]
) -> np.ndarray:
    """The chance in [0, 1] that the teachers' intuition reaches a target at its first guess.

    One per target in the range of values, in its order.

    Args:
        numbers: sorted, so that orders share a result.
        temperatures: of an early choice and of the last one, as in `Teacher`.
    """
    targets = np.arange(values[0], values[1] + 1)
    if len(numbers) == 1:
        return np.where(targets == numbers[0], 1.0, 0.0)
    options = moves(numbers, values)
    if not options:
        return np.zeros(len(targets))
    reached = np.array([[step.c] for step, _ in options])
    weights = np.exp(-np.abs(reached - targets) / temperatures[len(numbers) == 2])
    below = [guess_chances(tuple(sorted(left)), values, temperatures) for _, left in options]
    return (weights * below).sum(0) / weights.sum(0)


def random_problem(
    level: str, world: World, rng: np.random.Generator, split: str | None = None
) -> Problem:
    """A solvable problem of a level and split; the target is uniform over all that can be reached.

    Playing the numbers at random would favour targets with many solutions. Where the world bounds
    the chance of a guess for the level, targets out of bounds do not count.
    """
    k, (low, high) = world.levels[level], world.guess_chance[level]
    while True:
        numbers = tuple(
            int(n) for n in rng.integers(world.numbers[0], world.numbers[1] + 1, size=k)
        )
        targets = sorted(reachable(tuple(sorted(numbers)), world.values))
        if (low, high) != (0, 1):
            temperatures = world.teacher.intuition_early, world.teacher.intuition_last
            chances = guess_chances(tuple(sorted(numbers)), world.values, temperatures)
            targets = [t for t in targets if low <= chances[t - world.values[0]] <= high]
        if not targets:
            continue
        problem = Problem(numbers, targets[rng.integers(len(targets))])
        if split is None or split_of(problem, world) == split:
            return problem


def draw_problems(
    level: str, split: str, count: int, world: World, rng: np.random.Generator, few: bool = True
) -> list[Problem]:
    """`count` different problems of one level and split.

    Args:
        few: whether fewer will do where there are no more; then nearly all are drawn.

    Raises:
        UserError: the world has no such level, or not that many problems.
    """
    if level not in world.levels:
        raise UserError(f"unknown level '{level}'; this world has {', '.join(world.levels)}")
    found: dict[str, Problem] = {}
    barren = 0  # draws in a row without a new problem
    while len(found) < count and barren <= 20_000:
        problem = random_problem(level, world, rng)
        if split_of(problem, world) == split and problem.id not in found:
            found[problem.id] = problem
            barren = 0
        else:
            barren += 1
    if len(found) < count and not few:
        raise UserError(
            f"level '{level}' has only about {len(found)} problems in the {split} split, "
            f"{count} were asked for; ask for fewer or widen 'numbers' in the world file"
        )
    return list(found.values())
