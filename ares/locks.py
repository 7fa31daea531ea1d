"""Locks between processes: who works in a folder, and what a killed workflow left running.

A lock is a file held by flock(2). It ends with its process, however that ends, so nothing has to be
cleaned up after a kill; the file stays, and names who had it last. `fcntl` stands beside `filelock`
for locks that are shared by a job's processes, or by those who look for the owner: `FileLock` can't
share, and its `ReadWriteLock` is no flock(2). Light: the Snakefile imports it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import glob
from pathlib import Path

from filelock import FileLock, Timeout

from ares.errors import UserError

#: What a file system without flock answers.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
#: Seconds for which a lock is tried at least: longer than `owner` looks at it, and than a holder
#: takes to write its name into it.
_LEAST_WAIT_S = 1.0
#: Seconds that a job may take to end by itself after SIGTERM.
GRACE_S = 10.0
#: Locks that this process holds until it ends.
_TAKEN = ExitStack()


def take(path: str | Path, busy: str) -> None:
    """Take a lock until the process ends; see `held`."""
    _TAKEN.enter_context(held(path, busy))


@contextmanager
def held(path: str | Path, busy: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock meanwhile, after waiting for it for about `wait_s`.

    Processes that this one starts do not inherit it.

    Args:
        path: the file; it is made where it is missing.
        busy: what to say if another process has it; `{owner}` stands for that process.

    Raises:
        UserError: another process has it, or the file can't be opened.
    """
    lock, path = FileLock(path), Path(path)
    command = " ".join(shlex.join(sys.orig_argv).split())[:200]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=max(wait_s, _LEAST_WAIT_S), poll_interval=0.1)
        path.write_text(f"process {os.getpid()} on {socket.gethostname()} ({command})")
    except Timeout:
        raise UserError(busy.format(owner=_last_owner(path))) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise UserError(
                f"{path}: can't be written: {error.strerror}; look at the disk and at its rights"
            ) from None
        print("ares: note: no locks on this file system: start nothing twice", file=sys.stderr)
    try:
        yield
    finally:
        lock.release()


def owner(path: str | Path) -> str | None:
    """Who holds a lock now, None if nobody does. Looking never keeps anybody else from looking."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _last_owner(path)
    except OSError:  # no such file or folder, or none that we may open
        pass
    return None


def _last_owner(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace") or "another process"


def job_prefix(path: str | Path) -> str:
    """What a job's shell runs first so that `end_jobs` can tell that it, or a part of it, lives.

    The shell and all it starts share one lock on the file `path`.
    """
    share = "import fcntl; fcntl.flock(9, fcntl.LOCK_SH)"
    return (
        f"set -euo pipefail; exec 9>>{shlex.quote(str(path))}; "
        f"{shlex.quote(sys.executable)} -IS -c {shlex.quote(share)} 2>/dev/null || :; "
    )


def end_jobs(path: str | Path, say: Callable[[str], None]) -> None:
    """End the jobs that an earlier, killed workflow left running; they would write beside ours.

    They get SIGTERM, after some seconds SIGKILL. Those that can't be seen from here, on another
    machine of a cluster, are waited for.

    Args:
        path: the lock that they share by `job_prefix`.
        say: prints a line.
    """
    lock = FileLock(path)
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        found = sorted(_holders(path)) if number else []
        if number == signal.SIGTERM:
            shown = ", ".join(map(str, found))
            say(f"jobs of an earlier run that was killed still run; ending them: processes {shown}")
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
        wait_s = GRACE_S if number else 0.0
        with suppress(Timeout), lock.acquire(timeout=wait_s, poll_interval=0.1):
            return
    say(
        "jobs of an earlier run that was killed are still running where they can't be reached "
        f"(another machine?); waiting for them, or end them: they hold {path}"
    )
    with lock:
        return


def _holders(path: str | Path) -> set[int]:
    """Processes that have a file open, but this one (Linux; elsewhere none)."""
    wanted, found = os.stat(path), set()
    for handle in glob("/proc/[0-9]*/fd/*"):  # leaves out what may not be read
        with suppress(OSError):  # closed meanwhile
            if os.path.samestat(os.stat(handle), wanted):
                found.add(int(handle.split("/")[2]))
    return found - {os.getpid()}
