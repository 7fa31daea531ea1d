"""Teachers behind an OpenAI-compatible chat endpoint, for traces of real models.

`ChatEndpoint` is the client: it retries, keeps every answer on disk and stops at a budget.
`EndpointTeacher` asks it about tasks, in several manners, as a source of traces.

A run that is killed loses nothing that was answered: an answer is a file, written whole or not at
all, named by everything that was asked. The API key comes from an environment variable, goes into
a header, and is neither part of that name nor written anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import threading
import time
import urllib.error
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ares import chat
from ares.coldstart.teachers import SourceStopped, TeacherTrace
from ares.errors import UserError
from ares.io import read_json, write_json
from ares.sampling.rollouts import Task
from ares.world.prompts import VALUES, messages, picture


@dataclass
class Budget:
    """What one run may ask for; `None` is no limit. Answers from the cache cost nothing.

    Every attempt counts as a request, failed ones too. Tokens are those that the replies report
    (prompt and response), and the most that was allowed where a reply reports none. Requests under
    way when the limit is reached can exceed it.
    """

    requests: int | None = None
    tokens: int | None = None
    used_requests: int = 0
    used_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take_request(self) -> None:
        """Count one request.

        Raises:
            SourceStopped: the budget is spent.
        """
        with self._lock:
            for kind, used, limit in (
                ("requests", self.used_requests, self.requests),
                ("tokens", self.used_tokens, self.tokens),
            ):
                if limit is not None and used >= limit:
                    raise SourceStopped(
                        f"the budget of {limit} {kind} is spent ({self.used_requests} requests, "
                        f"{self.used_tokens} tokens); raise it and run again: what was answered "
                        "is kept and not asked again"
                    )
            self.used_requests += 1

    def add_tokens(self, number: int) -> None:
        """Count the tokens of a reply."""
        with self._lock:
            self.used_tokens += number


@dataclass(frozen=True)
class Answer:
    """One reply: the text, the reasoning that came apart from it, and whether it was cut."""

    content: str
    reasoning: str
    cut: bool

    @property
    def text(self) -> str:
        """Thought and answer as one response."""
        if not self.reasoning:
            return self.content
        return f"<think> {self.reasoning} </think> {self.content}"


@dataclass(frozen=True)
class ChatEndpoint:
    """A chat endpoint with retries, a cache and a budget.

    Attributes:
        url: base address that ends in /v1.
        cache: folder of the answers.
        key_variable: environment variable that holds the API key (unset: no key is sent).
        attempts: tries per question; between them waits of 1, 2, 4 ... times `wait_s` seconds.
    """

    url: str
    cache: Path
    budget: Budget = field(default_factory=Budget)
    key_variable: str = "OPENAI_API_KEY"
    attempts: int = 6
    wait_s: float = 2.0
    timeout_s: float = 600.0

    def ask(self, body: dict[str, Any]) -> Answer:
        """The answer to a request, from the cache if it was asked before.

        Raises:
            SourceStopped: the budget is spent.
            UserError: the endpoint refuses, or fails at every attempt.
        """
        file = self.cache / f"{_key(self.url, body)}.json"
        if file.is_file():
            return Answer(**read_json(file))
        failure = "no attempt was made"
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.wait_s * 2 ** (attempt - 1))
            self.budget.take_request()
            try:
                answer, tokens = _parse(
                    chat.post(self.url, body, self.key_variable, self.timeout_s)
                )
            except urllib.error.HTTPError as error:
                failure = f"HTTP {error.code} {error.reason}"
                if not chat.may_pass(error.code):
                    break
            except (OSError, http.client.HTTPException) as error:  # no connection, or it broke
                failure = str(error) or type(error).__name__
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                failure = "a reply that is no chat completion"
            else:
                self.budget.add_tokens(body["max_tokens"] if tokens is None else tokens)
                write_json(file, asdict(answer))
                return answer
        raise UserError(
            f"{self.url}, model {body['model']}: {failure}; answers so far are kept in "
            f"{self.cache}, run again to go on from there"
        )


def _key(url: str, body: dict[str, Any]) -> str:
    """A name for everything that is asked: address, model, messages, pictures, options."""
    asked = json.dumps([url.rstrip("/"), body], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _parse(reply: bytes) -> tuple[Answer, int | None]:
    """Answer and reported tokens of a reply. Servers call the reasoning by one of two names."""
    parsed = json.loads(reply)
    choice = parsed["choices"][0]
    message = choice["message"]
    # A model that spent all its tokens on reasoning has no content.
    content = message["content"] or ""
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    answer = Answer(content.strip(), reasoning.strip(), cut=choice.get("finish_reason") == "length")
    tokens = (parsed.get("usage") or {}).get("total_tokens")
    return answer, None if tokens is None else int(tokens)


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
        asked = [(manner, index) for manner in self.manners for index in range(self.number)]
        with ThreadPoolExecutor(self.parallel) as workers:
            bodies = [self._body(task, manner, index) for manner, index in asked]
            answers = list(workers.map(self.endpoint.ask, bodies))
        return [
            TeacherTrace(manner.name, index, answer.text)
            for (manner, index), answer in zip(asked, answers, strict=True)
            if not answer.cut
        ]

    def _body(self, task: Task, manner: Manner, index: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": chat_messages(task, self.values),
            "max_tokens": self.max_tokens,
            "seed": index,  # makes repeats different requests, for the server and for the cache
        }
        if manner.effort is not None:
            body["reasoning_effort"] = manner.effort
        if manner.temperature is not None:
            body["temperature"] = manner.temperature
        return body


def chat_messages(task: Task, values: tuple[int, int] = VALUES) -> list[dict[str, Any]]:
    """The messages of a task as the chat API wants them, its picture as a data URL."""
    shown = task.shown or picture(task.problem, task.look)
    return [
        {"role": message["role"], "content": [_part(part, shown) for part in message["content"]]}
        for message in messages(task.problem, task.presentation, values)
    ]


def _part(part: dict[str, str], shown: Image.Image) -> dict[str, Any]:
    if part["type"] != "image":
        return part
    data = io.BytesIO()
    shown.save(data, format="PNG")
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}
