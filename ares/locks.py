"""Locks between processes: who works in a folder, and what a killed workflow left running.

A lock is a file held by flock(2). It ends with its process, however that ends, so nothing has to be
cleaned up after a kill; the file stays, and names who had it last. Light: the Snakefile imports it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ares.errors import UserError

#: What a file system without flock answers.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
#: What to do when a file of a lock cannot be written.
_ADVICE = "look at the disk and at its rights"
#: Seconds that a job may take to end by itself after SIGTERM.
GRACE_S = 10.0


def take(path: str | Path, busy: str, wait_s: float = 0.0) -> int:
    """Take a lock until the process ends, or until `release`; what that takes.

    Processes that this one starts do not inherit it; forked ones (workers) do.

    Args:
        path: the file; it is made where it is missing.
        busy: what to say if another process has it; `{owner}` stands for that process.
        wait_s: how long to wait for it first.

    Raises:
        UserError: another process has it, or the file can't be opened.
    """
    path, end = Path(path), time.monotonic() + wait_s
    while True:
        descriptor = _opened(path)
        if not _locked(descriptor, fcntl.LOCK_EX):
            owner = _owner(path)
            os.close(descriptor)
            if time.monotonic() >= end:
                raise UserError(busy.format(owner=owner))
            time.sleep(0.2)
        elif _is_at(descriptor, path):
            _sign(descriptor, path)
            return descriptor
        else:  # somebody removed the file in between
            os.close(descriptor)


def release(descriptor: int) -> None:
    """Give back what `take` took."""
    os.close(descriptor)


@contextmanager
def held(path: str | Path, busy: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock meanwhile; see `take`."""
    descriptor = take(path, busy, wait_s)
    try:
        yield
    finally:
        release(descriptor)


def owner(path: str | Path) -> str | None:
    """Who holds a lock now, None if nobody does; changes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _locked(descriptor, fcntl.LOCK_SH) else _owner(Path(path))
    finally:
        os.close(descriptor)


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
    descriptor = _opened(Path(path))
    try:
        if _locked(descriptor, fcntl.LOCK_EX):
            return
        found = _holders(descriptor)
        if found:
            say(
                "jobs of an earlier run that was killed are still running; ending them: "
                f"processes {', '.join(map(str, sorted(found)))}"
            )
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in sorted(_holders(descriptor)):
                _send(process, number)
            end = time.monotonic() + GRACE_S
            while time.monotonic() < end and _holders(descriptor):
                time.sleep(0.1)
            if _locked(descriptor, fcntl.LOCK_EX):
                return
        say(
            "jobs of an earlier run that was killed are still running where they can't be reached "
            f"(another machine?); waiting for them, or end them: they hold {path}"
        )
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}; {_ADVICE}") from None


def _sign(descriptor: int, path: Path) -> None:
    """Write down who has the lock."""
    command = " ".join(shlex.join(sys.orig_argv).split())[:200]
    told = f"process {os.getpid()} on {socket.gethostname()} ({command})"
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, told.encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise UserError(f"{path}: can't be written: {error.strerror}; {_ADVICE}") from None


def _locked(descriptor: int, kind: int) -> bool:
    """Try a lock without waiting."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        print("ares: note: no locks on this file system: start nothing twice", file=sys.stderr)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") or "another process"
    except OSError:
        return "another process"


def _holders(descriptor: int) -> set[int]:
    """Processes that have the file of a descriptor open, but this one (Linux; elsewhere none)."""
    wanted, found = os.fstat(descriptor), set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for handle in (process / "fd").iterdir():
                try:
                    if os.path.samestat(handle.stat(), wanted):
                        found.add(int(process.name))
                        break
                except OSError:  # closed meanwhile
                    continue
        except OSError:  # ended meanwhile, or of another user
            continue
    return found - {os.getpid()}


def _send(process: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)
