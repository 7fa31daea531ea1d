"""What the chat client adds to a plain loop of requests: `python benchmarks/bench_client.py`.

The plain loop, written for this comparison, posts the same requests to the same stub server with as
many at a time, and reads each reply as JSON; it retries, counts and keeps nothing. Told are ratios
to that loop, of wall time and of CPU time, and how the resident memory grew from a tenth of the
requests to all of them. The client has one core to itself, the server another process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from ares.backends.base import Backend, Decoding, Request, Response
from ares.backends.server import ServerBackend
from ares.backends.store import CachedBackend, Store
from ares.backends.wire import request_body

STUB = Path(__file__).parents[1] / "tests" / "backends" / "stub.py"
TOKENS = 50


def questions(number: int, top_logprobs: int) -> Iterator[Request]:
    """So many different requests."""
    for i in range(number):
        messages = [{"role": "user", "content": f"question {i}: what is {i} + {i}?"}]
        yield Request(str(i), messages, Decoding(TOKENS, top_logprobs=top_logprobs), seed=i)


class Questions:
    """The same as something that can be read twice, as a store does."""

    def __init__(self, *arguments: int) -> None:
        self.arguments = arguments

    def __iter__(self) -> Iterator[Request]:
        return questions(*self.arguments)


@contextmanager
def stub_server() -> Iterator[str]:
    """The address of a stub in a process of its own."""
    with subprocess.Popen(
        [sys.executable, str(STUB), "--tokens", str(TOKENS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()


async def plain_loop(url: str, parallel: int, requests: Iterable[Request]) -> None:
    """Post every request once, `parallel` at a time, and read the replies."""
    waiting = iter(requests)

    async def work(session: aiohttp.ClientSession) -> None:
        for request in waiting:
            body = request_body(request, "stub", {})
            async with session.post(f"{url}/chat/completions", data=body) as reply:
                assert json.loads(await reply.read())["usage"]["completion_tokens"] == TOKENS

    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=parallel)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await asyncio.gather(*(work(session) for _ in range(parallel)))


def answer_all(backend: Backend | CachedBackend, number: int, top: int) -> float:
    """Ask everything; the resident memory at the end over that after a tenth."""
    early, done = 0.0, 0
    for _, outcome in backend.generate(Questions(number, top)):
        assert isinstance(outcome, Response) and outcome.tokens == TOKENS, outcome
        done += 1
        if done == number // 10:
            early = resident_kib()
    assert done == number
    return resident_kib() / early


def resident_kib() -> float:
    """Resident memory of this process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return float(found[1])


def measured(action: Callable[[], float | None]) -> dict[str, float]:
    """Wall and CPU seconds of an action, and the growth of memory where it tells that."""
    wall, cpu = time.perf_counter(), time.process_time()
    memory = action()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "memory": memory or 1.0}


def main() -> None:
    """Measure; print a line per kind of request, or all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        # Top-20 log-probabilities make a reply a hundred times as long: fewer of them.
        for top, number in ((0, options.requests), (20, options.requests // 10)):
            # A server of its own for each: its cache of replies starts empty.
            with stub_server() as url, Store(Path(folder) / f"{top}.sqlite") as store:
                server = ServerBackend(url, "stub", parallel=options.parallel)
                cached = CachedBackend(server, store)
                loop = plain_loop(url, options.parallel, questions(number, top))
                plain = measured(lambda loop=loop: asyncio.run(loop))
                for name, backend in (
                    ("client", server),
                    ("client and store", cached),
                    ("store, nothing asked", cached),
                ):
                    row = measured(lambda b=backend, n=number, t=top: answer_all(b, n, t))
                    found[f"{name}, top {top}"] = {k: row[k] / plain[k] for k in row}
    if options.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(
            f"{name:<30} {row['wall']:5.2f} x the wall time and {row['cpu']:5.2f} x the CPU time "
            f"of a plain loop; memory at the end {row['memory']:.2f} x that after a tenth"
        )


if __name__ == "__main__":
    main()
