"""Words by slot, drawn from Zipf-like distributions; and the trace they are collected in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ares.data.countdown import Step
from ares.data.world_settings import Language


def zipf(count: int, exponent: float) -> np.ndarray:
    """Probabilities of `count` ranks, proportional to rank ** -exponent.

    >>> zipf(2, 1.0).round(3).tolist()
    [0.667, 0.333]
    """
    weights = np.arange(1, count + 1, dtype=float) ** -exponent
    return weights / weights.sum()


@dataclass
class Trace:
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
        self.language = language
        self.rng = rng
        self.trace = Trace()

    def say(self, text: str) -> None:
        """Fixed words, separated by spaces; none of them opens a decision."""
        for word in text.split():
            self._add(word)

    def word(self, slot: str) -> None:
        """One word of a slot, drawn from its distribution."""
        words = self.language.words(slot)
        self._add(
            words[self.rng.choice(len(words), p=zipf(len(words), self.language.exponent(slot)))]
        )

    def filler(self) -> None:
        """A place for a filler, filled at the rate of the language."""
        if self.rng.random() < self.language.filler_rate:
            self.word("filler")

    def step(self, step: Step, decides: bool) -> None:
        """A step `a op b = c`; with `decides`, a opens the choice of a pair, op of an operation."""
        self._add(str(step.a), "pair" if decides else "")
        self._add(step.op, "operation" if decides else "")
        self.say(f"{step.b} = {step.c}")

    def left(self, numbers: tuple[int, ...]) -> None:
        """State the numbers that are left."""
        self.say("left " + " ".join(map(str, numbers)))

    def answer(self, steps: tuple[Step, ...], stated: set[Step]) -> None:
        """End the thought and box the steps; those not stated before are decided here."""
        self.say("</think> \\boxed{")
        for index, step in enumerate(steps):
            if index:
                self.say(",")
            self.step(step, decides=step not in stated)
        self.say("}" if steps else "none }")

    def _add(self, word: str, decision: str = "") -> None:
        self.trace.words.append(word)
        self.trace.decisions.append(decision)
