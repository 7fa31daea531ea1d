"""What every fuzz test has in common: how many cases it runs, and what one case may take.

`make test` runs the few cases of `quick`, always the same ones; `make test-fuzz` runs `long` many,
others every time. A case fails when it takes too much processor time (a hang) or too much memory.
"""

from __future__ import annotations

import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

LONG = os.environ.get("ARES_FUZZ") == "long"

#: Cases that ran, by test.
COUNTS: Counter[str] = Counter()

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Address space that a case may take beyond what is there: a bomb is a MemoryError, and not the
#: end of the machine. Far above what may be used, since libraries reserve more than they use.
_ROOM = 8 * 2**30


def cases(quick: int, long: int, seconds: float = 5.0, mib: float = 256.0) -> Callable[..., Any]:
    """Run a `@given` test on so many cases; stands above `@given`.

    Args:
        quick, long: cases in `make test` and in `make test-fuzz`; literal numbers.
        seconds: of processor time that one case may take, threads together.
        mib: of memory that one case may take at its peak beyond what the process had (Linux).
    """

    def decorate(test: Any) -> Any:
        test.hypothesis.inner_test = _guarded(test.hypothesis.inner_test, seconds, mib)
        return settings(
            max_examples=long if LONG else quick,
            derandomize=not LONG,
            print_blob=True,
            phases=(Phase.generate, Phase.shrink),  # to explain, hypothesis traces every line
            database=None,
            deadline=None,  # wall time, which others on the machine decide
            suppress_health_check=list(HealthCheck),
        )(test)

    return decorate


class TooLong(BaseException):
    """The processor time of a case is over; no `except Exception` on the way swallows it."""


def _guarded(test: Callable[..., None], seconds: float, mib: float) -> Callable[..., None]:
    name = f"{Path(test.__code__.co_filename).stem}.{test.__name__}"

    @wraps(test)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with within(seconds, mib):
            test(*args, **kwargs)
        COUNTS[name] += 1  # not where hypothesis gave up drawing

    return guarded


@contextmanager
def within(seconds: float, mib: float) -> Iterator[None]:
    """Fail when what happens meanwhile takes more processor time or memory.

    Time runs out inside Python code only; a hang in C code ends by pytest's own timeout.
    """
    before = _reset_peak()
    with _bounded_address_space():
        old = signal.signal(signal.SIGPROF, _over)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            yield
        except TooLong:
            raise AssertionError(f"took more than {seconds} s of processor time") from None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, old)
    used = (_status("VmHWM") - before) / 2**20
    assert used <= mib, f"took {used:.0f} MiB of memory, {mib} are allowed"


def _over(*_: Any) -> None:
    raise TooLong


def _reset_peak() -> int:
    """Forget the highest memory so far; returns the memory there is now, in bytes."""
    if not _CLEAR.exists():
        return 0
    _CLEAR.write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    if not _STATUS.exists():  # not Linux: memory is not checked
        return 0
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


@contextmanager
def _bounded_address_space() -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_AS)
    there = _status("VmSize")
    if there:
        resource.setrlimit(resource.RLIMIT_AS, (there + _ROOM, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
