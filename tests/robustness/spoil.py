"""Fuzzing: ways to spoil a value or a file, how many cases run, and what one case may take.

`make test` runs the few cases of `quick`, always the same ones; `make test-fuzz` runs `long` many,
others every time. A case fails when it takes too much processor time (a hang) or too much memory.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from ares.errors import UserError

LONG = os.environ.get("ARES_FUZZ") == "long"
#: Cases that ran, by test.
COUNTS: Counter[str] = Counter()
#: Address space that a case may take beyond what is there: a bomb is a MemoryError, and not the
#: end of the machine. Far above what may be used, since libraries reserve more than they use.
_ROOM = 8 * 2**30

#: Values that stand where others are expected.
STRANGE: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 2**63, 2**70, -(2**70)),
    *(0.5, -0.5, 1.0, 8.0, 1e-300, 1e300, -0.0, float("nan"), float("inf"), -float("inf")),
    *("", " ", "x", "1", "nan", "null", "~", "yes", "a" * 5000, "\u202etxt", "\n", "{question}"),
    *("../../etc/passwd", "/dev/zero", "grpo", "easy", "$(touch x)", "__import__('os')", "<<"),
    *([], [1], [1, 1], [None], [[]], ["text", "text"], {}, {"": 1}, {"a": {"a": {}}}, [{}]),
]


def cases(quick: int, long: int, seconds: float = 5.0, mib: float = 256.0) -> Callable[..., Any]:
    """Run a `@given` test on so many cases; stands above `@given`.

    Args:
        quick, long: cases in `make test` and in `make test-fuzz`.
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
    @wraps(test)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with within(seconds, mib):
            test(*args, **kwargs)
        name = f"{Path(test.__code__.co_filename).stem}.{test.__name__}"
        COUNTS[name] += 1  # not where hypothesis gave up drawing

    return guarded


@contextmanager
def within(seconds: float, mib: float) -> Iterator[None]:
    """Fail when what happens meanwhile takes more processor time or memory (Linux).

    Time runs out inside Python code only; a hang in C code ends by pytest's own timeout.
    """
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory so far
    before, limits = _status("VmRSS"), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + _ROOM, limits[1]))
    old = signal.signal(signal.SIGPROF, _over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    except TooLong:
        raise AssertionError(f"took more than {seconds} s of processor time") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    used = (_status("VmHWM") - before) / 2**20
    assert used <= mib, f"took {used:.0f} MiB of memory, {mib} are allowed"


def _over(*_: Any) -> None:
    raise TooLong


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def outcome(act: Callable[[], Any], file: Path) -> Any:
    """What `act` returns, or None where it says in one line what is wrong with `file`."""
    try:
        return act()
    except UserError as error:
        told = str(error)
        assert "\n" not in told and len(told) < 3000, told
        assert file.name in told, told
        return None


@st.composite
def spoiled_value(draw: st.DrawFn, value: Any, more: Sequence[Any] = ()) -> Any:
    """A copy of a nested value in which one or two parts are gone, renamed or something else.

    more: strange values beyond those of STRANGE.
    """
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        value = _spoil(draw, value, [*STRANGE, *more])
    return value


def _spoil(draw: st.DrawFn, value: Any, strange: list[Any]) -> Any:
    """One change, somewhere inside."""
    inside = isinstance(value, dict | list) and len(value) > 0
    if not inside or draw(st.integers(0, 9)) == 0:
        found = st.sampled_from(strange) | st.integers() | st.floats() | st.text(max_size=8)
        return copy.deepcopy(draw(found))  # a list of the strange would be changed by the next
    place = draw(st.sampled_from([*value] if isinstance(value, dict) else range(len(value))))
    if draw(st.integers(0, 3)) > 0:
        value[place] = _spoil(draw, value[place], strange)
        return value
    act = draw(st.sampled_from(["remove", "rename", "double", "wrap", "swap"]))
    content = value.pop(place)
    if act == "rename" and isinstance(value, dict):
        names = ["zzz", f"{place}s", str(place).upper(), str(place)[:-1], *value]
        value[draw(st.sampled_from(names))] = content
    elif act == "double" and isinstance(value, list):
        value[place:place] = [content, content]
    elif act == "wrap":
        content = [content] if draw(st.booleans()) else {str(place): content}
        value.insert(place, content) if isinstance(value, list) else value.update({place: content})
    elif act == "swap" and isinstance(value, list):
        value.insert(draw(st.integers(0, len(value))), content)
    return value


@st.composite
def spoiled_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """A copy of a file's bytes with a few flipped, lost, repeated, put in, or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 64)))
        act = draw(st.sampled_from(["flip", "lose", "repeat", "put", "cut", "zero"]))
        if act == "flip" and start < len(data):
            flipped = bytes([data[start] ^ (1 << draw(st.integers(0, 7)))])
            data = data[:start] + flipped + data[start + 1 :]
        elif act == "lose":
            data = data[:start] + data[end:]
        elif act == "repeat":
            data = data[:end] + data[start:end] * draw(st.integers(1, 20)) + data[end:]
        elif act == "put":
            data = data[:start] + draw(st.binary(max_size=16)) + data[start:]
        elif act == "cut":
            data = data[:start]
        elif act == "zero":
            data = data[:start] + bytes(end - start) + data[end:]
    return data


def spoiled_json(data: bytes) -> st.SearchStrategy[bytes]:
    """A file of JSON with a spoiled value, or with spoiled bytes."""
    values = spoiled_value(json.loads(data)).map(lambda value: json.dumps(value).encode())
    return values | spoiled_bytes(data)


class Trap:
    """Leaves a file behind when it is loaded from a pickle."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)
