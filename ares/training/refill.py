"""Dynamic sampling (DAPO, section 3.5): groups that teach nothing make room for fresh prompts.

Choices:
1. What decides is the accuracy: a group is kept when its mean lies strictly inside the bounds. The
   entropy reward would leave nearly every group with some variance.
2. Fresh groups are drawn for a fixed number of rounds. What is still uninformative then stays in
   the batch with its tokens masked out of the loss, so shapes and batch sizes never change.
3. Processes draw equally many groups in a round, as many as the neediest asks for, because drawing
   may be collective; what another process did not need is thrown away.
4. The release filters on its reward (`reward_first`). That filter needs entropies, so it is applied
   to the scored batch: dropped groups are masked, not replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset


@dataclass(eq=False)
class Group:
    """The rollouts of one prompt, before they are scored.

    row: of the data set. completions: token ids. logprobs: of the sampler, or None where TRL does
    not use them. accuracy: 0 or 1 each. parents and branch_at: the tree of a branching group.
    """

    row: dict[str, Any]
    completions: list[list[int]]
    accuracy: list[float]
    logprobs: list[list[float]] | None = None
    parents: list[int] = field(default_factory=list)
    branch_at: list[int] = field(default_factory=list)

    @property
    def mean_accuracy(self) -> float:
        """The pass rate."""
        return sum(self.accuracy) / len(self.accuracy)


class FreshPrompts:
    """A data set read from its start to its end and again; `position` counts rows ever taken."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.position = 0

    def take(self, count: int, process: int, processes: int) -> list[dict[str, Any]]:
        """The next `count` rows of this process; every process has to call this."""
        first = self.position + process * count
        self.position += count * processes
        return [self.dataset[(first + index) % len(self.dataset)] for index in range(count)]


def informative(group: Group, low: float, high: float) -> bool:
    """Whether a group's mean accuracy lies strictly inside the bounds."""
    return low < group.mean_accuracy < high


def refill(
    groups: list[Group],
    bounds: tuple[float, float],
    rounds: int,
    draw: Callable[[int], list[Group]],
    most: Callable[[int], int] = lambda count: count,
) -> tuple[list[Group], int]:
    """Replace uninformative groups; returns the groups, in place and number, and how many are new.

    Args:
        groups: as sampled.
        bounds: of the mean accuracy, exclusive.
        rounds: of fresh groups, at most.
        draw: samples that many fresh groups.
        most: the largest of a count over processes.
    """
    groups, fresh = list(groups), 0
    for _ in range(rounds):
        holes = [index for index, group in enumerate(groups) if not informative(group, *bounds)]
        wanted = most(len(holes))
        if wanted == 0:
            break
        useful = [group for group in draw(wanted) if informative(group, *bounds)]
        for index, group in zip(holes, useful, strict=False):
            groups[index] = group
            fresh += 1
    return groups, fresh
