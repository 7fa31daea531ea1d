"""Answers that are kept: one SQLite file, and a backend that asks only for what it lacks.

A response is stored under the SHA-256 of everything that decides about it: the backend's identity,
the messages with the pixels of their pictures, the decoding, the seed. It is committed before
anyone sees it, so a run that is killed at any moment has lost nothing that it had got. Failures
are not stored: the next run asks again.

Several processes of one machine may share a file. (SQLite's write-ahead log needs shared memory:
don't share one between machines, and copy it only while no process has it open.)
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Self

from ares.backends.base import Backend, Failure, Request, Response
from ares.backends.messages import digest
from ares.errors import UserError

#: Marks the file as ours ("ARES"), and the form of its table and keys.
APPLICATION_ID = 0x41524553
VERSION = 1
#: Seconds to wait for another process that writes.
BUSY_S = 60.0


class Store:
    """Responses by key in one file, made where it is missing; safe to use from several threads.

    Raises:
        UserError: a file that is no store, is damaged, or can't be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self) -> None:
        """Make the table in a new file; refuse a file of anything else before it is touched."""
        run = self._database.execute
        run("BEGIN IMMEDIATE")  # of several processes one makes the table
        asked = "PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master"
        mark, version, tables = (run(statement).fetchone()[0] for statement in asked)
        if mark == tables == 0:
            run("CREATE TABLE responses (key BLOB PRIMARY KEY, response BLOB NOT NULL)")
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {VERSION}")
        elif mark != APPLICATION_ID:
            raise UserError(f"{self.path}: a database, but no store of answers; name another file")
        elif version != VERSION:
            raise UserError(
                f"{self.path}: a store of version {version}, this is version {VERSION}; "
                "use the ares that made it, or name another file"
            )
        run("COMMIT")
        run("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a machine that loses power may lose the last answers.
        run("PRAGMA synchronous = NORMAL")

    def _run(self, statement: str, *values: bytes) -> sqlite3.Cursor:
        with self._explained(), self._lock:
            return self._database.execute(statement, values)

    def __len__(self) -> int:
        return self._run("SELECT count(*) FROM responses").fetchone()[0]

    def __contains__(self, key: bytes) -> bool:
        return self._run("SELECT 1 FROM responses WHERE key = ?", key).fetchone() is not None

    def get(self, key: bytes) -> Response | None:
        """The response kept under a key, None if there is none.

        Raises:
            UserError: it is there and can't be read.
        """
        row = self._run("SELECT response FROM responses WHERE key = ?", key).fetchone()
        if row is None:
            return None
        try:
            return Response(**json.loads(zlib.decompress(row[0])))
        except (zlib.error, ValueError, TypeError):
            raise self._damaged("an answer can't be read") from None

    def put(self, key: bytes, response: Response) -> Response:
        """Keep a response; what is kept under the key, which is an earlier one if there is one."""
        # Not `asdict`: it copies every token record.
        blob = zlib.compress(json.dumps(vars(response)).encode(), level=1)
        done = self._run("INSERT OR IGNORE INTO responses VALUES (?, ?)", key, blob)
        kept = response if done.rowcount else self.get(key)
        assert kept is not None
        return kept

    def close(self) -> None:
        """Write the log back into the file and close it."""
        with self._explained(), self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What SQLite says, as a message for the user."""
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, read-only, disk full, no such folder
            raise UserError(f"{self.path}: the store of answers can't be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}") from None

    def _damaged(self, what: str) -> UserError:
        return UserError(
            f"{self.path}: no store of answers, or a damaged one ({what}); name another file, or "
            "move it away and ask again"
        )


class CachedBackend:
    """A backend with a memory: asks only for what the store lacks."""

    def __init__(self, backend: Backend, store: Store) -> None:
        self.backend, self.store = backend, store

    @cached_property
    def _identity(self) -> str:
        return json.dumps(self.backend.identity(), sort_keys=True)

    def key(self, request: Request) -> bytes:
        """SHA-256 of everything that decides about the response."""
        asked = {
            "backend": self._identity,
            "messages": request.messages,
            "decoding": asdict(request.decoding),
            "seed": request.seed,
        }
        # JSON knows everything but pictures, which are identified by their pixels.
        text = json.dumps(asked, sort_keys=True, default=digest)
        return hashlib.sha256(text.encode()).digest()

    def stored(self, request: Request) -> Response | None:
        """The response that is kept; None if the request was never asked, or failed."""
        return self.store.get(self.key(request))

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        """First what is kept, then the rest as it is answered; each is stored, then yielded.

        Requests are read twice (once if nothing is kept), and none is held longer than needed.

        Raises:
            UserError: as the backend does; or the store fails.
        """
        if not len(self.store):
            yield from self._asked(requests)
            return
        open_places = bytearray()  # 1 for each request that is not kept
        for request in requests:
            response = self.stored(request)
            open_places.append(response is None)
            if response is not None:
                yield request, response
        yield from self._asked(compress(requests, open_places))

    def _asked(self, missing: Iterable[Request]) -> Iterator[tuple[Request, Response | Failure]]:
        """Results of the backend, each stored first."""
        keys: dict[Request, bytes] = {}  # of the requests under way; the backend bounds them

        def requests() -> Iterator[Request]:
            for request in missing:
                keys[request] = self.key(request)
                yield request

        for request, outcome in self.backend.generate(requests()):
            key = keys.pop(request, None)
            if isinstance(outcome, Response):  # (no key: the same request was asked twice)
                outcome = self.store.put(key or self.key(request), outcome)
            yield request, outcome
