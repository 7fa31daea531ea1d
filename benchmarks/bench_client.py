"""Speed and memory of the chat client: `python benchmarks/bench_client.py` (Linux).

The client has one core to itself, the stub server another process. What is told per kind of
request: requests per second of wall time, CPU seconds of the client per 1,000 requests, and its
resident memory after a tenth of them and after all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ares.backends.base import Backend, Decoding, Request, Response
from ares.backends.server import ServerBackend
from ares.backends.store import CachedBackend, Store

STUB = Path(__file__).parents[1] / "tests" / "backends" / "stub.py"
TOKENS = 50


class Questions:
    """So many different requests, made when they are read."""

    def __init__(self, number: int, top_logprobs: int) -> None:
        self.number, self.top_logprobs = number, top_logprobs

    def __iter__(self) -> Iterator[Request]:
        decoding = Decoding(TOKENS, top_logprobs=self.top_logprobs)
        for i in range(self.number):
            messages = [{"role": "user", "content": f"question {i}: what is {i} + {i}?"}]
            yield Request(str(i), messages, decoding, seed=i)


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


def resident_mib() -> float:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def measure(backend: Backend, number: int, top_logprobs: int) -> dict[str, float]:
    """Ask `number` requests and say what it took."""
    early, done = 0.0, 0
    wall, cpu = time.perf_counter(), time.process_time()
    for _, outcome in backend.generate(Questions(number, top_logprobs)):
        assert isinstance(outcome, Response) and outcome.tokens == TOKENS, outcome
        done += 1
        if done == number // 10:
            early = resident_mib()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert done == number
    return {
        "requests": number,
        "top_logprobs": top_logprobs,
        "requests_per_s": number / wall,
        "cpu_s_per_1000": 1000 * cpu / number,
        "mib_after_a_tenth": early,
        "mib_after_all": resident_mib(),
    }


def main() -> None:
    """Measure, print a line per kind of request, or all of it as JSON."""
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
                found[f"client, top {top}"] = measure(server, number, top)
                kept = CachedBackend(server, store)
                found[f"client and store, top {top}"] = measure(kept, number, top)
                found[f"store, nothing asked, top {top}"] = measure(kept, number, top)
    if options.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(
            f"{name:<30} {row['requests_per_s']:7.0f} requests/s"
            f" {row['cpu_s_per_1000']:6.2f} CPU s per 1,000"
            f"   {row['mib_after_a_tenth']:6.1f} -> {row['mib_after_all']:6.1f} MiB"
        )


if __name__ == "__main__":
    main()
