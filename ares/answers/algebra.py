"""The parent's side of the algebra worker: start it, ask it, kill it when it takes too long."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import ares
from ares.errors import UserError

#: Seconds that the start may take (importing sympy and the LaTeX grammar takes about one).
START_S = 120.0
#: Replies that are kept: samples of one question often end in the same answer.
REMEMBERED = 10_000


class NoReply(Exception):
    """The worker was killed or died over a request; the message says why."""


class AlgebraWorker:
    """One worker process (`ares.answers.worker`), started when first asked.

    Safe to share between threads: requests wait for one another. A request that exceeds the time
    limit kills the process; the next one starts another.
    """

    def __init__(self, time_limit_s: float) -> None:
        self.time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._rest = b""
        self._known: dict[tuple[str, str, bool], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> AlgebraWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def decide(self, gold: str, answer: str, letters: bool) -> dict[str, Any]:
        """The reply of `ares.answers.compare.decide`.

        Raises:
            NoReply: it took longer than the limit, or the process died.
            UserError: the worker does not start.
        """
        key = gold, answer, letters
        with self._lock:
            if key in self._known:
                return self._known[key]
            if self._process is None or self._process.poll() is not None:
                self._start()
            request = json.dumps({"gold": gold, "answer": answer, "letters": letters}) + "\n"
            try:
                reply = self._exchange(request.encode(), self.time_limit_s)
            except BaseException:
                # Also after an interrupt: a reply that comes late would answer the next request.
                self._kill()
                raise
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = reply
            return reply

    def close(self) -> None:
        """End the process. The worker may be asked again."""
        with self._lock:
            self._kill()

    def _start(self) -> None:
        self._kill()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as the process
        package = str(Path(ares.__file__).parents[1])
        self._process = subprocess.Popen(
            # -P: a file in the current folder must not stand in for a library.
            [sys.executable, "-P", "-m", "ares.answers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": package, "OMP_NUM_THREADS": "1"},
        )
        try:
            self._exchange(b"", START_S)
        except NoReply as failure:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines() or [""]
            self._kill()
            raise UserError(
                f"the worker that compares expressions does not start ({failure}): {lines[-1]}; "
                "is math-verify installed?"
            ) from None

    def _exchange(self, request: bytes, limit_s: float) -> dict[str, Any]:
        """Send a line, unless it is empty, and wait for one."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + limit_s
        try:
            process.stdin.write(request)
            process.stdin.flush()
        except BrokenPipeError:
            raise NoReply("the algebra process died") from None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise NoReply(f"took longer than {limit_s:g} s")
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    raise NoReply("the algebra process died")
                self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def _kill(self) -> None:
        process, self._process, self._rest = self._process, None, b""
        if process is not None:
            process.kill()
            process.communicate()  # closes the pipes and reaps the process
        if self._errors is not None:
            self._errors.close()
            self._errors = None
