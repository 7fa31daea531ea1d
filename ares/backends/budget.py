"""What a run may ask a server for."""

from __future__ import annotations

from dataclasses import dataclass

from ares.errors import UserError


class BudgetSpent(UserError):
    """A limit that the user set is reached; what was answered before stays good."""


@dataclass
class Budget:
    """What one run may ask for; `None` is no limit. Answers from the store cost nothing.

    Every attempt counts as a request, failed ones too. Tokens are those that the replies report
    (prompt and response), and the most that was allowed where a reply reports none. Requests under
    way when the limit is reached can exceed it. Only the client's event loop counts.
    """

    requests: int | None = None
    tokens: int | None = None
    used_requests: int = 0
    used_tokens: int = 0

    def take_request(self) -> None:
        """Count one request.

        Raises:
            BudgetSpent: the budget is spent.
        """
        for kind, used, limit in (
            ("requests", self.used_requests, self.requests),
            ("tokens", self.used_tokens, self.tokens),
        ):
            if limit is not None and used >= limit:
                raise BudgetSpent(
                    f"the budget of {limit} {kind} is spent ({self.used_requests} requests, "
                    f"{self.used_tokens} tokens); raise it and run again: what was answered is "
                    "kept and not asked again"
                )
        self.used_requests += 1

    def add_tokens(self, number: int) -> None:
        """Count the tokens of a reply."""
        self.used_tokens += number
