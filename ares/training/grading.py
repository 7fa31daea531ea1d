"""The verifier at the seam where TRL expects a reward function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ares.errors import UserError


class Grader:
    """A reward function that grades once: what dynamic sampling has graded is not graded again.

    Attributes:
        known: verdicts of the batch that comes next, or None to ask the verifier.
        last: verdicts of the last batch of this process.
    """

    __name__ = "accuracy"  # TRL logs it as rewards/accuracy

    def __init__(self, verifier: Callable[..., Sequence[float]]) -> None:
        self.verifier = verifier
        self.known: list[float] | None = None
        self.last: list[float] = []

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """Verdicts, 0 or 1.

        Raises:
            UserError: the verifier gave something else (None, NaN, a fraction), or not one verdict
                per completion.
        """
        if self.known is not None:
            self.last, self.known = self.known, None
        else:
            self.last = list(self.verifier(completions=completions, **columns))
        if len(self.last) != len(completions):
            raise UserError(
                f"the verifier gave {len(self.last)} verdicts for {len(completions)} completions: "
                "it must give one for each"
            )
        for verdict, completion in zip(self.last, completions, strict=True):
            if verdict not in (0, 1):
                raise UserError(
                    f"the verifier gave {verdict} for {completion!r:.200}: AEPO needs accuracies "
                    "that are 0 or 1; repair the reward function or the answer column"
                )
        return self.last
