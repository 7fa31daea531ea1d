"""Requests and helpers that the tests of the backends share."""

from typing import Any

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.server import ServerBackend
from tests.backends.stub import Stub


def request(text: str, seed: int = 1, **decoding: Any) -> Request:
    """A question in words; the stub knows it as "text#seed"."""
    options = {"max_tokens": 50, **decoding}
    return Request(text, [{"role": "user", "content": text}], Decoding(**options), seed)


def questions(number: int, **decoding: Any) -> list[Request]:
    """q0, q1, ..."""
    return [request(f"q{i}", **decoding) for i in range(number)]


def backend_of(stub: Stub, **options: Any) -> ServerBackend:
    """A backend that does not wait long."""
    settings: dict[str, Any] = {"parallel": 4, "attempts": 3, "wait_s": 0.0, "timeout_s": 5.0}
    return ServerBackend(stub.url, "stub", **{**settings, **options})


def outcomes(backend, requests) -> dict[str, Response | Failure]:
    """What came of each request."""
    return {asked.id: outcome for asked, outcome in backend.generate(requests)}
