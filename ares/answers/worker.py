"""The parent's side of the algebra process: start it, ask it, kill it when it takes too long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Self

import ares
from ares.errors import UserError

#: Seconds that the start may take (importing sympy and the LaTeX grammar takes about one).
START_S = 120.0
#: Replies that are kept: samples of one question often end in the same answer.
REMEMBERED = 10_000


class NoReply(Exception):
    """The process was killed or died over a request; the message says why."""


class AlgebraWorker:
    """One process (`ares.answers.algebra`), started when first asked.

    Safe to share between threads: requests wait for one another. A request that exceeds the time
    limit kills the process; the next one starts another.
    """

    def __init__(self, time_limit_s: float) -> None:
        self.time_limit_s = time_limit_s
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._known: dict[tuple[str, str, bool], tuple[str, str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def decide(self, gold: str, answer: str, letters: bool) -> tuple[str, str]:
        """Status and note, as `ares.answers.compare.decide` gives them.

        Raises:
            NoReply: it took longer than the limit, or the process died.
            UserError: the process does not start.
        """
        asked = gold, answer, letters
        with self._lock:
            if asked not in self._known:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                reply = self._exchange(json.dumps(asked) + "\n", self.time_limit_s)
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                status, note = json.loads(reply)
                self._known[asked] = status, note
            return self._known[asked]

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
            [sys.executable, "-P", "-m", "ares.answers.algebra"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": package, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        try:
            self._exchange("", START_S)
        except NoReply as failure:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines() or [""]
            self._kill()
            raise UserError(
                f"the process that compares expressions does not start ({failure}): {lines[-1]}; "
                "is math-verify installed?"
            ) from None

    def _exchange(self, request: str, limit_s: float) -> str:
        """Send a line, unless it is empty, and wait for one; kill the process at the limit."""
        process, start = self._process, time.monotonic()
        assert process is not None and process.stdin is not None and process.stdout is not None
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        except BaseException:
            # Also after an interrupt: a reply that comes late would answer the next request.
            self._kill()
            raise
        finally:
            timer.cancel()
        late = time.monotonic() - start >= limit_s
        if late or not reply.endswith("\n"):
            process.kill()
            process.wait()  # so that the next request sees that it is gone
            raise NoReply(f"took longer than {limit_s:g} s" if late else "the algebra process died")
        return reply

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            try:
                self._process.communicate()  # closes the pipes and reaps the process
            except BrokenPipeError:  # of a request that was never read
                self._process.wait()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = None
