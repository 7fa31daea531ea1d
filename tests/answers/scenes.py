"""A backend that answers from a list, for judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ares.backends.base import Failure, Request, Response


class Scripted:
    """Gives its answers in the order asked, hands them out in reverse; keeps the requests."""

    def __init__(self, answers: list[str | Failure]) -> None:
        self.answers = answers
        self.requests: list[Request] = []
        self.batches: list[int] = []

    def identity(self) -> dict[str, Any]:
        return {"kind": "scripted"}

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        requests = list(requests)
        self.batches.append(len(requests))
        self.requests += requests
        replies = [self.answers.pop(0) for _ in requests]
        for request, reply in reversed(list(zip(requests, replies, strict=True))):
            yield request, reply if isinstance(reply, Failure) else Response(reply)
