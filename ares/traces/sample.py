"""Which traces a page shows: evenly spaced, the same share of every difficulty and verdict.

The file is read once and may be a stream, so its length is not known before. Of each kind (easy and
right, ...) every s-th trace is kept; when that becomes too many, every second of them is let go and
s doubles. What is kept is packed, so that memory stays below a bound.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ares.traces.read import Trace

#: Tokens on a page; more make it slow to open.
PAGE_TOKENS = 400_000
#: Of one trace; what follows is in the tables.
TRACE_TOKENS = 50_000
#: Characters of a prompt, and of names and answers.
PROMPT_CHARACTERS, NAME_CHARACTERS = 20_000, 2_000
#: Alternatives shown for a token, the least log-probability of one that is shown, and the entropy
#: (nats) from which on there is a choice to show.
ALTERNATIVES, FAINTEST, CHOICE = 5, -6.0, 0.02
_NAMES = ("id", "benchmark", "answer", "gold", "finish")


@dataclass(frozen=True, eq=False)
class Packed:
    """A trace as a page needs it.

    number: row in the table of traces. said: what the file says of it, as the page calls it.
    tokens: indices of the page's words. entropy: thousandths of a nat.
    choices: three numbers for every alternative that is shown: tokens since the alternative before,
    word, minus the log-probability in hundredths.
    """

    number: int
    said: dict[str, Any]
    tokens: array
    entropy: array
    choices: array


@dataclass
class PageSample:
    """Keeps about `wanted` traces of what it is shown.

    words: number of every token of kept traces; those of traces let go stay, a vocabulary is small.
    seen: traces looked at, by difficulty and correctness.
    """

    wanted: int
    words: dict[str, int] = field(default_factory=dict)
    seen: dict[tuple[str, bool | None], int] = field(default_factory=dict)
    _kept: dict[tuple[str, bool | None], list[Packed]] = field(default_factory=dict)
    _stride: dict[tuple[str, bool | None], int] = field(default_factory=dict)

    def add(self, number: int, trace: Trace) -> None:
        """Take a look at the next trace of the file."""
        kind = (trace.difficulty, trace.correct)
        seen, stride = self.seen.get(kind, 0), self._stride.setdefault(kind, 1)
        self.seen[kind] = seen + 1
        if not self.wanted or seen % stride:
            return
        kept = self._kept.setdefault(kind, [])
        kept.append(self._packed(number, trace))
        if len(kept) > 2 * self.wanted or self._tokens(kept) > 2 * PAGE_TOKENS:
            self._kept[kind] = kept[::2]
            self._stride[kind] = 2 * stride

    def chosen(self) -> list[Packed]:
        """At most `wanted` traces, of at most `PAGE_TOKENS` tokens or one trace, in file order."""
        number = self.wanted
        while True:
            found = self._evenly(number)
            size = self._tokens(found)
            if size <= PAGE_TOKENS or len(found) <= 1:
                return sorted(found, key=lambda packed: packed.number)
            number = max(1, min(len(found) - 1, len(found) * PAGE_TOKENS // size))

    def _evenly(self, number: int) -> list[Packed]:
        found: list[Packed] = []
        # The smallest kinds first: what they leave of their share goes to the others.
        kinds = sorted(self._kept.values(), key=len)
        for left, kept in zip(range(len(kinds), 0, -1), kinds, strict=True):
            share = min(len(kept), -(-(number - len(found)) // left))
            found += [kept[place * len(kept) // share] for place in range(share)]
        return found

    @staticmethod
    def _tokens(kept: list[Packed]) -> int:
        return sum(len(packed.tokens) for packed in kept)

    def _word(self, word: str) -> int:
        return self.words.setdefault(word, len(self.words))

    def _packed(self, number: int, trace: Trace) -> Packed:
        tokens = trace.tokens[:TRACE_TOKENS]
        choices, before = array("I"), 0
        for place in np.flatnonzero(trace.entropy[:TRACE_TOKENS] >= CHOICE).tolist():
            for name, logprob in trace.alternatives(place)[:ALTERNATIVES]:
                if logprob >= FAINTEST:
                    hundredths = round(-100 * min(logprob, 0.0))
                    choices.extend((place - before, self._word(name), hundredths))
                    before = place
        said = {
            **{name: getattr(trace, name)[:NAME_CHARACTERS] for name in _NAMES},
            "difficulty": trace.difficulty,
            "correct": trace.correct,
            "prompt": trace.prompt[:PROMPT_CHARACTERS],
            "cut_from": len(trace.tokens) if len(trace.tokens) > TRACE_TOKENS else 0,
        }
        return Packed(
            number=number,
            said=said,
            tokens=array("I", map(self._word, tokens)),
            entropy=array("I", thousandths(trace.entropy[:TRACE_TOKENS])),
            choices=choices,
        )


def thousandths(entropy: np.ndarray) -> list[int]:
    """Entropies in thousandths of a nat, rounded: what a page computes from.

    >>> thousandths(np.array([0.5, 1.2346]))
    [500, 1235]
    """
    return np.rint(np.asarray(entropy, float) * 1000).astype(np.int64).tolist()
