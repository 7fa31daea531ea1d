"""Backends: what each of them takes and gives, and which there are.

A backend knows nothing about benchmarks, grading or files. The cache (`ares.backends.store`) wraps
any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ares.backends import PARALLEL, TEMPERATURE, TOP_P
from ares.errors import UserError


@dataclass(frozen=True)
class Decoding:
    """How a response is drawn.

    temperature: 0 is greedy. top_p, top_k: truncation; 1.0 and 0 are none.
    max_tokens: of the response, the end token included.
    top_logprobs: most probable tokens reported per position, 0 for none; a server may refuse more
        than 20.
    stop: texts that end a response.
    """

    max_tokens: int
    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    top_k: int = 0
    top_logprobs: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what neither a setting nor an option rules out, with a UserError."""
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p}: it lies in (0, 1]")
        if "" in self.stop:
            raise UserError("stop: an empty text would end every response")


@dataclass(frozen=True, eq=False)
class Request:
    """One response that is asked for.

    id: tells requests of a run apart, for messages and reports; no part of what is asked.
    messages: chat messages; a content is a string or a list of parts {"type": "text", "text": ...}
        and {"type": "image", "image": a PIL picture}.
    seed: of the draw; another seed asks for another response.
    """

    id: str
    messages: Sequence[Mapping[str, Any]]
    decoding: Decoding
    seed: int = 0


@dataclass(frozen=True)
class Response:
    """What came back.

    text: the answer; reasoning: what the server kept apart from it, or "".
    finish: "stop" (ended by itself), "length" (cut at max_tokens), or the server's own word.
    prompt_tokens, tokens: of the prompt and of the response; None where the backend does not say.
    logprobs: the token records of the OpenAI format, {"token": str, "logprob": float (nats),
        "top_logprobs": [{"token": ..., "logprob": ...}, best first]}, of the model's own
        distribution (temperature 1, nothing truncated), as servers report it; None where not asked
        for, or not given.
    entropy: nats per token over the whole vocabulary at the sampling temperature (eq. 3), where the
        backend sees the whole distribution; else None.
    token_ids: what was drawn, the end token included, where the model runs in this process.
    """

    text: str
    reasoning: str = ""
    finish: str = "stop"
    prompt_tokens: int | None = None
    tokens: int | None = None
    logprobs: list[dict[str, Any]] | None = None
    entropy: list[float] | None = None
    token_ids: list[int] | None = None

    @property
    def full_text(self) -> str:
        """Thought and answer as one response.

        >>> Response("5", reasoning="2 + 3").full_text
        '<think> 2 + 3 </think> 5'
        """
        return f"<think> {self.reasoning} </think> {self.text}" if self.reasoning else self.text

    def traced(self) -> dict[str, Any]:
        """Its part of a line of a trace file (docs/traces.md)."""
        return {
            "text": self.full_text,
            "finish": self.finish,
            "n_tokens": self.tokens,
            "logprobs": None if self.logprobs is None else {"content": self.logprobs},
            "entropy": self.entropy,
        }


@dataclass(frozen=True)
class Failure:
    """Why a request has no response, after how many attempts."""

    reason: str
    attempts: int


class Backend(Protocol):
    """A model that can be asked."""

    def identity(self) -> dict[str, Any]:
        """What decides about a response beside the request: kind, model, revision, precision.

        Plain JSON; part of the key under which responses are kept. No secrets.
        """
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        """Every request with its result, in the order in which they finish.

        Lazy: takes from `requests` only what it is about to ask, so memory does not grow with
        their number. A request that fails becomes a `Failure`; the others go on.

        Raises:
            UserError: nothing can be asked at all: no such model, no server, a refused key.
        """
        ...


def open_backend(
    kind: str,
    model: str,
    *,
    url: str | None = None,
    parallel: int | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    tensor_parallel: int = 1,
    max_model_len: int | None = None,
    **of_server: Any,
) -> Backend:
    """A backend; what it needs is imported here, and nothing else.

    Args:
        kind: "server", "vllm" or "transformers". The other arguments are those of the classes.
        parallel: requests at a time, or prompts per batch where the model runs in this process.
        revision: of a model on the hub; for a server only a name that tells weights apart.

    Raises:
        UserError: options that do not belong together, a model that can't be loaded.
    """
    if (kind == "server") != (url is not None):
        raise UserError("--url and --backend server belong together: give both or neither")
    if url is not None:
        from ares.backends.server import ServerBackend

        return ServerBackend(
            url, model, parallel=parallel or PARALLEL, revision=revision or "", **of_server
        )
    if kind == "vllm":
        from ares.backends.vllm import VllmBackend

        given = model, revision, tensor_parallel, max_model_len, dtype or "auto"
        return VllmBackend(*given, parallel=parallel or 512)
    from ares.backends.local import LocalBackend

    return LocalBackend(model, batch=parallel or 16, dtype=dtype, revision=revision)
