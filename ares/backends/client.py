"""One run of requests to a chat endpoint: an event loop in a thread of its own, and retries.

(A thread, because the caller may have a running loop already, as notebooks do, and because replies
should be fetched while the caller is busy with the last ones.)

What fails in passing is tried again: overload, server faults, lost connections, replies that are
cut, garbled or do not come. What fails for good is a `Failure` of that request. Where no request
can succeed the run ends with a `UserError`: no server from the start, a key that is refused, a
model that is not there, a server that has stopped answering. A wait that the server asks for
(Retry-After) holds for all requests.

The API key comes from an environment variable, goes into a header, and is neither part of what
identifies a response nor in any message.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from ares.backends import wire
from ares.backends.base import Failure, Request, Response
from ares.errors import UserError

if TYPE_CHECKING:
    from ares.backends.server import ServerBackend

Result = TypeVar("Result")

#: Statuses below 500 that may pass by themselves.
PASSING = frozenset({408, 409, 425, 429})
#: Tries to reach a server that has never answered: someone may have mistyped its address.
FIRST_ATTEMPTS = 3
#: Longest wait between two attempts, and for a connection, in seconds.
LONGEST_WAIT_S = 60.0
CONNECT_S = 30.0
#: Requests in a row that come to nothing before a server is given up: all that are sent at a time,
#: and not fewer than this.
FEWEST_LOST = 8


class NoServer(UserError):
    """There is no server, or it answers nothing any more."""


class _Trouble(Exception):
    """An attempt failed; final: no use in another."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Client:
    """One run: event loop, connections, and what is known about the server so far.

    `done` receives each submitted request with a future: of its response, of its failure, of the
    `UserError` that ends the run, or a cancelled one where the run ended before it was sent.
    """

    def __init__(self, settings: ServerBackend) -> None:
        self.settings = settings
        self.done: queue.SimpleQueue[tuple[Request, Future[Response | Failure]]]
        self.done = queue.SimpleQueue()
        self.key = os.environ.get(settings.key_variable, "").strip()
        if not self.key.isprintable():
            raise UserError(f"{settings.key_variable}: an API key is one line of plain text")
        self.address = settings.url.rstrip("/") + "/chat/completions"
        self.most_lost = max(settings.parallel, FEWEST_LOST)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.heard = False  # somebody is there
        self.answered = False  # the server has answered a request
        self.lost = 0  # requests in a row that came to nothing
        self.silent = 0  # attempts in a row that ran out of time
        self.resume_at = 0.0  # the server asked for silence until then (time of the loop)

    def __enter__(self) -> Self:
        self.thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def _open(self) -> None:
        settings = self.settings
        self.slots, self.stopped = asyncio.Semaphore(settings.parallel), asyncio.Event()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self.session = aiohttp.ClientSession(
            # (vLLM's server closes idle connections after 5 s; be the first.)
            connector=aiohttp.TCPConnector(limit=settings.parallel, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(
                total=settings.timeout_s, sock_connect=min(CONNECT_S, settings.timeout_s)
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=wire.proxy_for(settings.url),
        )

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.session.close()

    def submit(self, request: Request) -> None:
        """Ask for a response; its result arrives in `done`."""
        body = wire.request_body(request, self.settings.model, self.settings.extra_body)
        future = asyncio.run_coroutine_threadsafe(self._answer(request, body), self.loop)
        future.add_done_callback(lambda done: self.done.put((request, done)))

    async def _answer(self, request: Request, body: bytes) -> Response | Failure:
        try:
            async with self.slots:
                return await self._insist(request, body)
        except UserError:
            self.stopped.set()  # nothing new is sent from now on; what is under way may end
            raise

    async def _insist(self, request: Request, body: bytes) -> Response | Failure:
        """Attempts until one succeeds, or none is left."""
        settings = self.settings
        first, every = stop_after_attempt(FIRST_ATTEMPTS), stop_after_attempt(settings.attempts)
        backoff = wait_exponential(settings.wait_s, max=LONGEST_WAIT_S)
        attempts = AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, _Trouble) and not e.final),
            stop=lambda state: every(state) or (not self.heard and first(state)),
            wait=lambda state: backoff(state) * random.uniform(1.0, 1.25),
            sleep=self._pause,
            reraise=True,
        )
        try:
            return await attempts(self._attempt, request, body)
        except _Trouble as trouble:
            return self._failed(trouble, attempts.statistics["attempt_number"])

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the run."""
        try:
            await asyncio.wait_for(self.stopped.wait(), seconds)
        except TimeoutError:
            return
        raise asyncio.CancelledError

    def _failed(self, trouble: _Trouble, attempts: int) -> Failure:
        """A failure, or the end of the run when there have been too many in a row.

        A refusal may be the request's own fault, so it counts only as long as every one is refused.
        """
        if not self.heard:
            raise self._no_server(f"{trouble}; is the server running, and is this its address?")
        if not trouble.final or not self.answered:
            self.lost += 1
        if self.lost >= self.most_lost:
            raise self._no_server(
                f"{self.lost} requests in a row came to nothing, the last one with: {trouble}; "
                "when the server is well again, run again: what was answered is kept"
            )
        return Failure(str(trouble), attempts)

    def _no_server(self, why: str) -> NoServer:
        return NoServer(f"{self.settings.name}: {why}")

    async def _attempt(self, request: Request, body: bytes) -> Response:
        """One request over the wire; what may pass, and what is refused, is a `_Trouble`."""
        while (silence := self.resume_at - self.loop.time()) > 0:
            await self._pause(silence)
        if self.stopped.is_set():
            raise asyncio.CancelledError
        self.settings.budget.take_request()
        try:
            raw = await self._post(body, wire.most_bytes(request.decoding))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _Trouble(f"no connection ({wire.redacted(error, self.key)})") from None
        except TimeoutError:
            raise self._timed_out() from None
        except (aiohttp.ClientError, OSError) as error:
            self.heard = True
            detail = wire.redacted(error, self.key) or type(error).__name__
            raise _Trouble(f"the connection broke ({detail})") from None
        try:
            response, tokens = wire.parse_reply(wire.without_key(raw, self.key))
        except ValueError as error:
            start = wire.redacted(raw[:2000].decode("utf-8", "replace"), self.key)
            raise _Trouble(f"{error}: {start}") from None
        tokens = request.decoding.max_tokens if tokens is None else tokens
        self.settings.budget.used_tokens += tokens
        self.answered, self.lost, self.silent = True, 0, 0
        return response

    async def _post(self, body: bytes, limit: int) -> bytes:
        async with self.session.post(self.address, data=body, allow_redirects=False) as reply:
            self.heard = True
            if reply.status != 200:
                words = (await wire.read_at_most(reply, 2**16)).decode("utf-8", "replace")
                raise self._complaint(reply, wire.redacted(words, self.key))
            raw = await wire.read_at_most(reply, limit)
        if len(raw) > limit:
            raise _Trouble(f"a reply of more than {limit} bytes")
        return raw

    def _timed_out(self) -> Exception:
        """A time-out, or the end of the run when there have been too many in a row."""
        reason, self.heard = f"no answer within {self.settings.timeout_s:g} s", True
        self.silent += 1
        if self.silent < 2 * self.most_lost:
            return _Trouble(reason)
        return self._no_server(
            f"{reason}, {self.silent} times in a row; the server hangs, or needs longer: allow it "
            "more time, or ask for fewer at a time or shorter answers"
        )

    def _complaint(self, reply: aiohttp.ClientResponse, words: str) -> Exception:
        """What a status other than 200 means."""
        name, status = self.settings.name, reply.status
        if status in (401, 403):  # without the server's words: they may repeat the key
            hint = "refused" if self.key else "not set"
            variable = self.settings.key_variable
            return UserError(f"{name}: HTTP {status}; the API key in {variable} is {hint}")
        reason = f"HTTP {status} {wire.redacted(reply.reason or '', self.key)}".strip()
        reason = f"{reason}: {words}" if words else reason
        if status == 404:
            return UserError(
                f"{name}: {reason}; no such model there, or the address does not end where the API "
                "begins (often /v1)"
            )
        if status not in PASSING and status < 500:
            return _Trouble(reason, final=True)
        wait = wire.retry_after(reply.headers.get("Retry-After"))
        if wait > self.settings.timeout_s:
            return UserError(
                f"{name}: {reason}; it asks to be left alone for {wait:.0f} s, run again then: "
                "what was answered is kept"
            )
        self.resume_at = max(self.resume_at, self.loop.time() + wait)
        return _Trouble(reason)
