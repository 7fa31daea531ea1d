"""Teachers behind an OpenAI-compatible chat endpoint, for traces of real models.

`ChatEndpoint` says how the endpoint is reached, where its answers are kept, and what it may cost.
`EndpointTeacher` asks it about tasks, in several manners, as a source of traces.

A run that is killed loses nothing that was answered (see `ares.backends.store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.budget import Budget, BudgetSpent
from ares.backends.server import ServerBackend
from ares.backends.store import Kept, Store
from ares.coldstart.teachers import SourceStopped, TeacherTrace
from ares.errors import UserError
from ares.sampling.rollouts import Task
from ares.world.prompts import VALUES, messages, picture


@dataclass(frozen=True)
class ChatEndpoint:
    """A chat endpoint with a store and a budget.

    Attributes:
        url: base address that ends in /v1.
        store: of the answers.
        budget: of the run; answers from the store cost nothing.
        key_variable, attempts, wait_s, timeout_s: as those of `ServerBackend`.
    """

    url: str
    store: Store
    budget: Budget = field(default_factory=Budget)
    key_variable: str = "OPENAI_API_KEY"
    attempts: int = 6
    wait_s: float = 2.0
    timeout_s: float = 600.0

    def backend(self, model: str, parallel: int, extra_body: dict[str, Any]) -> Kept:
        """A model that is served there, `parallel` requests at a time."""
        server = ServerBackend(
            self.url,
            model,
            key_variable=self.key_variable,
            parallel=parallel,
            attempts=self.attempts,
            wait_s=self.wait_s,
            timeout_s=self.timeout_s,
            extra_body=extra_body,
            budget=self.budget,
        )
        return Kept(server, self.store)


@dataclass(frozen=True)
class Manner:
    """How a question is put: what is None is not sent, for servers that refuse the option."""

    effort: str | None = None
    temperature: float | None = None

    @property
    def name(self) -> str:
        """The `habit` of the traces.

        >>> Manner("low", 0.7).name
        'effort low, temperature 0.7'
        """
        given = (("effort", self.effort), ("temperature", self.temperature))
        told = [f"{name} {value}" for name, value in given if value is not None]
        return ", ".join(told) or "default"

    @property
    def extra_body(self) -> dict[str, Any]:
        """What distinguishes its requests from a plain one; None takes a field out.

        >>> Manner("low").extra_body
        {'top_p': None, 'reasoning_effort': 'low', 'temperature': None}
        """
        fields: dict[str, Any] = {"top_p": None}
        if self.effort is not None:
            fields["reasoning_effort"] = self.effort
        return fields if self.temperature is not None else {**fields, "temperature": None}


@dataclass(frozen=True)
class EndpointTeacher:
    """A source of traces: every task in every manner, `number` times, `parallel` at a time.

    Attributes:
        model: name of the model served there.
        max_tokens: limit of a reply; replies cut there are no traces.
        values: of the world that grades the replies.
    """

    endpoint: ChatEndpoint
    model: str
    manners: Sequence[Manner]
    number: int
    max_tokens: int
    parallel: int = 1
    values: tuple[int, int] = VALUES

    def traces(self, task: Task) -> list[TeacherTrace]:
        """All complete replies to one task.

        Raises:
            SourceStopped: the budget is spent.
            UserError: the endpoint refuses, or fails at every attempt.
        """
        with ThreadPoolExecutor(min(self.parallel, len(self.manners))) as workers:
            asked = [workers.submit(self._replies, task, manner) for manner in self.manners]
        try:
            return [trace for replies in asked for trace in replies.result()]
        except BudgetSpent as limit:
            raise SourceStopped(str(limit)) from None

    def _replies(self, task: Task, manner: Manner) -> list[TeacherTrace]:
        """The complete replies in one manner, in the order of their seeds."""
        share = max(1, self.parallel // len(self.manners))
        backend = self.endpoint.backend(self.model, share, manner.extra_body)
        outcomes = list(backend.generate(self._requests(task, manner)))
        for _, outcome in outcomes:
            if isinstance(outcome, Failure):
                raise UserError(
                    f"{self.endpoint.url}, model {self.model}: {outcome.reason}; answers so far "
                    f"are kept in {self.endpoint.store.path}, run again to go on from there"
                )
        return [
            TeacherTrace(manner.name, request.seed, _stripped(outcome).full_text)
            for request, outcome in sorted(outcomes, key=lambda pair: pair[0].seed)
            if isinstance(outcome, Response) and outcome.finish != "length"
        ]

    def _requests(self, task: Task, manner: Manner) -> list[Request]:
        temperature = 1.0 if manner.temperature is None else manner.temperature
        decoding = Decoding(self.max_tokens, temperature=temperature)
        asked = task_messages(task, self.values)
        return [
            # The seed makes repeats different requests, for the server and for the store.
            Request(f"{task.problem.id}, {manner.name}, {index}", asked, decoding, seed=index)
            for index in range(self.number)
        ]


def _stripped(response: Response) -> Response:
    return Response(response.text.strip(), reasoning=response.reasoning.strip())


def task_messages(task: Task, values: tuple[int, int] = VALUES) -> list[dict[str, Any]]:
    """The messages of a task with its picture in place."""
    shown = task.shown or picture(task.problem, task.look)
    return [
        {
            "role": message["role"],
            "content": [
                {**part, "image": shown} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in messages(task.problem, task.presentation, values)
    ]
