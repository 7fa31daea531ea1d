"""The guard of the fuzz tests itself: it counts, and it stops what takes too long or too much."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.cases import COUNTS, cases, within


def declared() -> dict[str, int]:
    """The sums of `quick` and of `long` over the tests here, parametrised ones counted once."""
    total = {"quick": 0, "long": 0}
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "cases":
                for word in node.keywords:
                    if word.arg in total:
                        total[word.arg] += ast.literal_eval(word.value)
    return total


def test_enough_cases_are_declared():
    total = declared()
    assert total["quick"] >= 500
    assert total["long"] >= 20_000


def test_a_case_that_never_ends_fails():
    with pytest.raises(AssertionError, match=r"more than 0\.2 s"), within(0.2, 100):
        while True:
            pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_case_that_takes_much_memory_fails():
    gc.collect()  # what earlier tests left is not given back meanwhile
    with pytest.raises(AssertionError, match="MiB of memory, 64 are allowed"), within(5, 64):
        bytearray(b"x") * (512 * 2**20)


def test_cases_are_counted_one_by_one():
    @cases(quick=7, long=7)
    @given(st.integers())
    def seven(number):
        del number

    before = COUNTS["test_cases.seven"]
    seven()
    assert COUNTS.pop("test_cases.seven") - before == 7


def test_a_run_with_too_few_cases_fails():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__, "-k", "never_ends"],
        env={"ARES_FUZZ_LEAST": "1", "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "at least 1 were asked for" in done.stdout
