"""One run of requests to a chat endpoint: an event loop in a thread of its own, and retries.

(A thread, because the caller may have a running loop already, as notebooks do, and because replies
should be fetched while the caller is busy with the last ones.)

What fails in passing is tried again: overload, server faults, lost connections, replies that are
cut, garbled or do not come. What fails for good is a `Failure` of that request. Where no request
can succeed the run ends with a `UserError`: no server from the start, a key that is refused, a
model that is not there, a server that has stopped answering.

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

from ares.backends.base import Failure, Request, Response
from ares.backends.chat_format import most_bytes, parse_reply, request_body
from ares.backends.messages import pictures
from ares.backends.wire import (
    MODEL_OR_ADDRESS,
    PASSING,
    REFUSED_KEY,
    proxy_for,
    read_at_most,
    retry_after,
    told,
    without_key,
)
from ares.errors import UserError

if TYPE_CHECKING:
    from ares.backends.server import ServerBackend

Result = TypeVar("Result")

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


class _Again(Exception):
    """An attempt failed in a way that may pass; `wait_s`: how long the server asks to wait."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Refused(Exception):
    """The server will not answer this request, whenever it is asked."""


class _Stopped(Exception):
    """The run has ended before this request was sent (again)."""


class Client:
    """One run: event loop, connections, and what is known about the server so far.

    `done` receives each submitted request with a future: of its response, of its failure, of the
    `UserError` that ends the run, or, after that, of None where it was not answered.
    """

    def __init__(self, settings: ServerBackend) -> None:
        self.settings = settings
        self.done: queue.SimpleQueue[tuple[Request, Future[Response | Failure | None]]] = (
            queue.SimpleQueue()
        )
        self.key = os.environ.get(settings.key_variable, "").strip()
        if not self.key.isprintable():
            raise UserError(f"{settings.key_variable}: an API key is one line of plain text")
        self.address = settings.url.rstrip("/") + "/chat/completions"
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="ares-server")
        self.thread.daemon = True
        self.heard = False  # the server has answered something
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

    def submit(self, request: Request) -> None:
        """Ask for a response; `done` tells what came of it."""
        for picture in pictures(request.messages):
            picture.load()  # not thread-safe, and requests may share a picture
        future = asyncio.run_coroutine_threadsafe(self._answer(request), self.loop)
        future.add_done_callback(lambda done: self.done.put((request, done)))

    async def _open(self) -> None:
        limit = self.settings.parallel
        self.slots, self.stopped = asyncio.Semaphore(limit), asyncio.Event()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self.session = aiohttp.ClientSession(
            # (vLLM's server closes idle connections after 5 s; be the first.)
            connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(
                total=self.settings.timeout_s, sock_connect=min(CONNECT_S, self.settings.timeout_s)
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy_for(self.settings.url),
        )

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.session.close()
        await self.loop.shutdown_default_executor()

    async def _answer(self, request: Request) -> Response | Failure | None:
        try:
            async with self.slots:
                self._check()
                return await self._insist(request, await self._body(request))
        except _Stopped:
            return None
        except UserError:
            self.stopped.set()  # nothing new is sent from now on; what is under way may end
            raise

    async def _body(self, request: Request) -> bytes:
        options = (request, self.settings.model, self.settings.extra_body)
        if pictures(request.messages):  # compressing takes long, and lets other threads run
            return await asyncio.to_thread(request_body, *options)
        return request_body(*options)

    async def _insist(self, request: Request, body: bytes) -> Response | Failure:
        """Attempts until one succeeds, or none is left."""
        reason, wait = "", 0.0
        for attempt in range(self.settings.attempts):
            if attempt:
                backoff = min(self.settings.wait_s * 2 ** (attempt - 1), LONGEST_WAIT_S)
                await self._pause(max(wait, backoff * random.uniform(1.0, 1.25)))
            while (silence := self.resume_at - self.loop.time()) > 0:
                await self._pause(silence)
            self._check()
            self.settings.budget.take_request()
            try:
                response = await self._attempt(request, body)
            except _Refused as error:
                return self._failed(str(error), attempt + 1, passing=False)
            except _Again as error:
                reason, wait = str(error), error.wait_s
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                reason, wait = f"no connection ({told(error, self.key)})", 0.0
                self._check_reachable(reason, attempt + 1)
            except TimeoutError:
                reason, wait = f"no answer within {self.settings.timeout_s:g} s", 0.0
                self._check_silence(reason)
            except (aiohttp.ClientError, OSError) as error:
                detail = told(error, self.key) or type(error).__name__
                reason, wait = f"the connection broke ({detail})", 0.0
            else:
                self.answered, self.lost, self.silent = True, 0, 0
                return response
        return self._failed(reason, self.settings.attempts, passing=True)

    def _check(self) -> None:
        if self.stopped.is_set():
            raise _Stopped

    def _check_reachable(self, reason: str, attempts: int) -> None:
        """Give up early on a server that has never been there."""
        if not self.heard and attempts >= min(FIRST_ATTEMPTS, self.settings.attempts):
            raise NoServer(
                f"{self.settings.name}: {reason}; is the server running, and is this its address?"
            )

    def _check_silence(self, reason: str) -> None:
        """Don't wait for every attempt of every request where none is answered in time."""
        self.silent += 1
        if self.silent >= 2 * max(self.settings.parallel, FEWEST_LOST):
            raise NoServer(
                f"{self.settings.name}: {reason}, {self.silent} times in a row; the server hangs, "
                "or needs longer: allow it more time, or ask for fewer at a time or shorter answers"
            )

    def _failed(self, reason: str, attempts: int, passing: bool) -> Failure:
        """A failure, or the end of the run when there have been too many in a row.

        A refusal may be the request's own fault, so it counts only as long as every one is refused.
        """
        if passing or not self.answered:
            self.lost += 1
        if self.lost >= max(self.settings.parallel, FEWEST_LOST):
            raise NoServer(
                f"{self.settings.name}: {self.lost} requests in a row came to nothing, the last "
                f"one with: {reason}; when the server is well again, run again: what was answered "
                "is kept"
            )
        return Failure(reason, attempts)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the run."""
        try:
            await asyncio.wait_for(self.stopped.wait(), seconds)
        except TimeoutError:
            return
        raise _Stopped

    async def _attempt(self, request: Request, body: bytes) -> Response:
        """One request over the wire."""
        async with self.session.post(self.address, data=body, allow_redirects=False) as reply:
            self.heard = True
            if reply.status != 200:
                await self._complain(reply)
            limit = most_bytes(request.decoding)
            raw = await read_at_most(reply, limit)
        if len(raw) > limit:
            raise _Again(f"a reply of more than {limit} bytes")
        try:
            response, tokens = parse_reply(without_key(raw, self.key))
        except ValueError as error:
            start = told(raw[:2000].decode("utf-8", "replace"), self.key)
            raise _Again(f"{error}: {start}") from None
        self.settings.budget.add_tokens(request.decoding.max_tokens if tokens is None else tokens)
        return response

    async def _complain(self, reply: aiohttp.ClientResponse) -> None:
        """Raise what a status other than 200 means."""
        status = f"HTTP {reply.status} {told(reply.reason or '', self.key)}".strip()
        if reply.status in REFUSED_KEY:  # without the server's words: they may repeat the key
            hint = "refused" if self.key else "not set"
            raise UserError(
                f"{self.settings.name}: HTTP {reply.status}; the API key in "
                f"{self.settings.key_variable} is {hint}"
            )
        words = told((await read_at_most(reply, 2**16)).decode("utf-8", "replace"), self.key)
        reason = f"{status}: {words}" if words else status
        if reply.status in MODEL_OR_ADDRESS:
            raise UserError(
                f"{self.settings.name}: {reason}; no such model there, or the address does not "
                "end where the API begins (often /v1)"
            )
        if reply.status not in PASSING and reply.status < 500:
            raise _Refused(reason)
        wait = retry_after(reply.headers.get("Retry-After"))
        if wait > self.settings.timeout_s:
            raise UserError(
                f"{self.settings.name}: {reason}; it asks to be left alone for {wait:.0f} s, run "
                "again then: what was answered is kept"
            )
        if wait:
            self.resume_at = max(self.resume_at, self.loop.time() + wait)
        raise _Again(reason, wait)
