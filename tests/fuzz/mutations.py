"""Ways to spoil a file or a value, as hypothesis strategies, and what must come of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ares.errors import UserError

#: Values that stand where others are expected.
STRANGE: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 2**63, 2**70, -(2**70)),
    *(0.5, -0.5, 1.0, 8.0, 1e-300, 1e300, -0.0, float("nan"), float("inf"), -float("inf")),
    *("", " ", "x", "1", "nan", "null", "~", "yes", "a" * 5000, "\u202etxt", "\n", "{question}"),
    *("../../etc/passwd", "/dev/zero", "grpo", "easy", "$(touch x)", "__import__('os')", "<<"),
    *([], [1], [1, 1], [None], [[]], ["text", "text"], {}, {"": 1}, {"a": {"a": {}}}, [{}]),
]


@st.composite
def spoiled_value(draw: st.DrawFn, value: Any, most: int = 2) -> Any:
    """A copy of a nested value in which one or a few parts are gone, renamed or something else."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        value = _spoil(draw, value)
    return value


def _spoil(draw: st.DrawFn, value: Any) -> Any:
    """One change, somewhere inside."""
    inside = isinstance(value, dict | list) and len(value) > 0
    if not inside or draw(st.integers(0, 9)) == 0:
        strange = st.sampled_from(STRANGE) | st.integers() | st.floats() | st.text(max_size=8)
        return copy.deepcopy(draw(strange))  # a list of STRANGE would be changed by the next
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    place = draw(st.sampled_from(places))
    if draw(st.integers(0, 3)) > 0:
        value[place] = _spoil(draw, value[place])
        return value
    act = draw(st.sampled_from(["remove", "rename", "double", "wrap", "swap"]))
    content = value.pop(place)
    if act == "rename" and isinstance(value, dict):
        value[draw(st.sampled_from(["zzz", f"{place}s", str(place).upper(), str(place)[:-1]]))] = (
            content
        )
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


def outcome(act: Callable[[], Any], file: Path) -> Any:
    """What `act` returns, or None where it says in one line what is wrong with `file`."""
    try:
        return act()
    except UserError as error:
        told = str(error)
        assert "\n" not in told, told
        assert len(told) < 3000, f"{len(told)} characters"
        assert file.name in told or str(file) in told, told
        return None
