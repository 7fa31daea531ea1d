"""A chat endpoint on this machine for tests: says what it is told to, and fails as it is told to.

    with Stub(lambda body: "5") as stub:
        ServerBackend(stub.url, "stub")

`answer` gets the parsed body of a request and returns a text or an `Answer`. `trouble` gets the
body and how many times this request has come (1, 2, ...), and returns one of the troubles below, or
None for the answer. Both are called in the server's thread. As a program (`python stub.py`) it
serves until its input ends: for measuring a client that should have a processor to itself.
"""

import argparse
import asyncio
import json
import math
import socket
import struct
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Self

Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A reply that is well.

    finish: None for "stop", or "length" where max_tokens cuts it.
    """

    text: str
    reasoning: str = ""
    finish: str | None = None
    reasoning_field: str = "reasoning_content"


@dataclass(frozen=True)
class Trouble:
    """Something else than the answer: `wait_s` seconds, then `data` as it is, then an end.

    end: "keep" the connection for the next request, "close" it, "reset" it, "hang" with it open,
    "flood" it with `data` for ever, or go on to the "answer".
    """

    data: bytes = b""
    end: str = "keep"
    wait_s: float = 0.0


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Body


def http(status: int, data: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP reply."""
    given = {"Content-Type": "application/json", **(headers or {})}
    given["Content-Length"] = str(len(data))
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + data


def status(code: int, message: str = "oops", retry_after: str | None = None) -> Trouble:
    """An HTTP error in OpenAI's form."""
    data = json.dumps({"error": {"message": message, "type": "stub"}}).encode()
    return Trouble(http(code, data, {"Retry-After": retry_after} if retry_after else None))


def said(text: str, code: int = 200) -> Trouble:
    """These words as the whole body."""
    return Trouble(http(code, text.encode()))


def slow(seconds: float) -> Trouble:
    """The answer, but late."""
    return Trouble(end="answer", wait_s=seconds)


GARBAGE = Trouble(http(200, bytes(range(256))))
WEB_PAGE = Trouble(http(200, b"<html>Welcome</html>", {"Content-Type": "text/html"}))
CUT_CHUNKS = Trouble(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{'choice", end="close"
)
NOTHING = Trouble(end="close")
RESET = Trouble(end="reset")
HANG = Trouble(end="hang")
HANG_MIDWAY = Trouble(http(200, b" " * 1000)[:-500], end="hang")
HUGE = Trouble(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"10000\r\n"
    + b" " * 65536
    + b"\r\n",
    end="flood",
)


def name_of(body: Body) -> str:
    """What tells requests apart: the last text and the seed, as in "2 + 3#7"."""
    content = body["messages"][-1]["content"]
    if not isinstance(content, str):
        content = " ".join(part["text"] for part in content if part["type"] == "text")
    return f"{content}#{body.get('seed')}"


def words_of(text: str) -> list[str]:
    """The tokens of a text, which give it when joined: ["so", " it", " is"]."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)] if text else []


@lru_cache(maxsize=4096)
def _record(word: str, top: int) -> dict[str, Any]:
    """The record of a token, the sampled one first among the `top` most probable.

    Each further one is less probable by a factor that depends on the word, so that entropies
    differ from word to word and are known.
    """
    ratio = 0.1 + 0.8 * (sum(word.encode()) % 97) / 97
    total = sum(ratio**rank for rank in range(100))
    ranked = [
        {
            "token": word if rank == 0 else f"{word}{rank}",
            "logprob": rank * math.log(ratio) - math.log(total),
            "bytes": list(word.encode()),
        }
        for rank in range(max(top, 1))
    ]
    return {**ranked[0], "top_logprobs": ranked[:top]}


@lru_cache(maxsize=256)
def completion(answer: Answer, max_tokens: int, top: int, prompt: int = 7) -> bytes:
    """A chat completion as vLLM words it."""
    words = words_of(answer.text)
    cut, text = len(words) > max_tokens, "".join(words[:max_tokens])
    records = [_record(word, top) for word in words_of(text)]
    message: Body = {"role": "assistant", "content": text or None}
    if answer.reasoning:
        message[answer.reasoning_field] = answer.reasoning
    choice: Body = {
        "index": 0,
        "message": message,
        "finish_reason": answer.finish or ("length" if cut else "stop"),
        "logprobs": {"content": records} if top else None,
    }
    usage = {"prompt_tokens": prompt, "completion_tokens": len(records)}
    usage["total_tokens"] = prompt + len(records)
    whole = {"id": "chatcmpl-0", "object": "chat.completion", "model": "stub", "choices": [choice]}
    return json.dumps({**whole, "usage": usage}).encode()


@dataclass
class Stub:
    """The server, in a thread, as a context manager.

    api_key: requests without it are refused (401). delay_s: before every answer.
    asked, answered: how often each request (`name_of`) came, and was answered in full.
    requests: the last ones as they came. most_at_once: requests under way at a time, at most.
    """

    answer: Callable[[Body], str | Answer] = lambda body: f"answer to {name_of(body)}"
    trouble: Callable[[Body, int], Trouble | None] = lambda body, time: None
    api_key: str | None = None
    delay_s: float = 0.0
    port: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    requests: deque[Asked] = field(default_factory=lambda: deque(maxlen=5000))
    under_way: int = 0
    most_at_once: int = 0
    _stopping: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stub", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and be gone; more than once is no harm."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._forever = asyncio.Event()  # held here: a task nobody refers to would be collected
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=2**26, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._stopping = True
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next round

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # the stub stops
        finally:
            writer.transport.abort() if self._stopping else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and reply; whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        verb, path, _ = head[0].split(" ")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:])}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        if verb == "GET" and path.endswith("/models"):
            writer.write(http(200, b'{"object": "list", "data": [{"id": "stub"}]}'))
            return True
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            return await self._reply(Asked(path, headers, json.loads(data)), writer)
        finally:
            self.under_way -= 1

    async def _reply(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        body, name = asked.body, name_of(asked.body)
        self.requests.append(asked)
        self.asked[name] += 1
        if self.api_key and asked.headers.get("authorization") != f"Bearer {self.api_key}":
            trouble: Trouble | None = status(401, "Incorrect API key provided")
        else:
            trouble = self.trouble(body, self.asked[name])
        if trouble:
            await asyncio.sleep(trouble.wait_s)
            writer.write(trouble.data)
            await writer.drain()
            if trouble.end != "answer":
                return await self._end(trouble, writer)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        answer = self.answer(body)
        if isinstance(answer, str):
            answer = Answer(answer)
        most = body.get("max_tokens") or 10**9
        writer.write(http(200, completion(answer, most, body.get("top_logprobs", 0))))
        await writer.drain()
        self.answered[name] += 1
        return True

    async def _end(self, trouble: Trouble, writer: asyncio.StreamWriter) -> bool:
        if trouble.end == "hang":
            await self._forever.wait()
        while trouble.end == "flood":
            writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
            await writer.drain()
        if trouble.end == "reset":
            linger = struct.pack("ii", 1, 0)  # closing sends a reset instead of an end
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return trouble.end == "keep"


def main() -> None:
    """Serve a text of so many tokens, tell the address, stop when the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=50)
    text = " ".join(f"word{i}" for i in range(parser.parse_args().tokens))
    with Stub(lambda body: text) as stub:
        stub.requests = deque(maxlen=1)
        print(stub.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
