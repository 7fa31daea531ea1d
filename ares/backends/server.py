"""Any server with an OpenAI-compatible chat endpoint: vLLM, SGLang, llama.cpp, a hosted model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from ares.backends import ATTEMPTS, PARALLEL
from ares.backends.base import Failure, Request, Response
from ares.backends.client import Client, NoServer
from ares.backends.wire import checked_url
from ares.errors import UserError


class BudgetSpent(UserError):
    """A limit that the user set is reached; what was answered before stays good."""


@dataclass
class Budget:
    """What one run may ask for; `None` is no limit. Answers from the store cost nothing.

    Every attempt counts as a request, failed ones too. Tokens are those that the replies report
    (prompt and response), and the most that was allowed where a reply reports none. Requests under
    way when the limit is reached can exceed it.
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
        of_requests = (self.used_requests, self.requests, "requests")
        for used, limit, kind in (of_requests, (self.used_tokens, self.tokens, "tokens")):
            if limit is not None and used >= limit:
                raise BudgetSpent(
                    f"the budget of {limit} {kind} is spent; raise it and run again: what was "
                    "answered is kept and not asked again"
                )
        self.used_requests += 1


@dataclass(frozen=True)
class ServerBackend:
    """A model behind a chat endpoint.

    Temperature, top_p and seed are always sent, top_k (an extension of vLLM and others) only when
    set. What is not sent is up to the server: vLLM takes it from the model's
    `generation_config.json`, which may hold a top_k or a repetition penalty. Start it with
    `--generation-config vllm`, or set them here: `extra_body={"top_k": -1,
    "repetition_penalty": 1.0}`.

    Attributes:
        url: base address, ends in /v1.
        model: name of the model served there.
        key_variable: environment variable that holds the API key (unset: no key is sent).
        parallel: requests under way at a time. As many again may wait, ready to be sent or to be
            fetched, so the server need not wait for the caller.
        attempts: tries per request; between them waits of 1, 2, 4 ... times `wait_s` seconds, up
            to a quarter longer by chance, a minute at most; or what the server asks for.
        timeout_s: seconds for one attempt, from connecting to the end of the reply.
        extra_body: further fields of every request, for instance {"chat_template_kwargs":
            {"enable_thinking": False}}. They win over ours, and None takes a field out, for
            servers that refuse it: {"max_tokens": None, "max_completion_tokens": 4096}.
        revision: tells weights apart that are served under the same name.
        budget: what may be asked for in all.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    parallel: int = PARALLEL
    attempts: int = ATTEMPTS
    wait_s: float = 2.0
    timeout_s: float = 600.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""
    budget: Budget = field(default_factory=Budget, compare=False)

    def __post_init__(self) -> None:
        """Raise a UserError for an invalid address, or one that holds a secret."""
        checked_url(self.url)

    def identity(self) -> dict[str, Any]:
        """Model, revision and extra fields; not the address.

        The address says little about the weights: a model moves from node to node, and the next
        checkpoint is served at the old address. Serve different weights under different names, or
        tell them apart by `revision`.
        """
        return {
            "kind": "server",
            "model": self.model,
            "revision": self.revision,
            "extra_body": dict(self.extra_body),
        }

    @property
    def name(self) -> str:
        """Address and model, for messages."""
        return f"{self.url}, model {self.model}"

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        """Every request with its result, as they finish; closing it early cancels the rest.

        Raises:
            UserError: nothing (more) can be asked. What was under way is yielded before.
        """
        todo, under_way, fatal = iter(requests), 0, None
        with Client(self) as client:
            while True:
                # After an error that ends the run nothing new is asked.
                while fatal is None and under_way < 2 * self.parallel:
                    request = next(todo, None)
                    if request is None:
                        break
                    client.submit(request)
                    under_way += 1
                if not under_way:
                    break
                request, future = client.done.get()
                under_way -= 1
                try:
                    yield request, future.result()
                except NoServer:
                    raise  # no server is left that could answer what is under way
                except CancelledError:
                    continue  # it was not sent any more
                except UserError as error:
                    fatal = fatal or error
        if fatal is not None:
            raise fatal
