"""The algebra process: limits of time and memory, crashes, starts."""

import os
import subprocess
import sys
import threading
import time

import pytest

from ares.errors import UserError
from ares.evaluation.algebra import AlgebraWorker, NoReply
from ares.evaluation.grader import Grader
from ares.evaluation.grades import RIGHT, UNGRADABLE, WRONG, Question

FOREVER = "9^{9^{9^{9}}}"


@pytest.fixture
def algebra():
    with AlgebraWorker(60) as worker:
        yield worker


@pytest.mark.parametrize(
    ("gold", "answer"),
    [(FOREVER, "5"), ("(x^2-1)^{3000}", "(x+1)^{3000}(x-1)^{3000}")],
)
def test_what_hangs_is_ungradable_and_the_next_is_graded(gold, answer):
    with Grader(time_limit_s=0.5) as grader:
        grader.grade(r"\boxed{1+1}", Question("2", "number"))  # the start is not on the clock
        start = time.monotonic()
        grade = grader.grade(rf"\boxed{{{answer}}}", Question(gold, "expression"))
        assert time.monotonic() - start < 5
        assert (grade.status, grade.note) == (UNGRADABLE, "took longer than 0.5 s")
        grader._worker.time_limit_s = 60
        assert grader.grade(r"\boxed{1+2}", Question("3", "number")).status == RIGHT


def test_most_answers_start_no_process_and_one_serves_many_and_ends_with_the_grader():
    with Grader(time_limit_s=60) as grader:
        assert grader.grade(r"\boxed{0.5}", Question(r"\frac12", "number")).status == RIGHT
        assert grader.grade(r"\boxed{(0,1)}", Question("[0,1)", "expression")).status != RIGHT
        assert grader._worker._process is None
        processes = set()
        for n in range(3):
            grader.grade(rf"\boxed{{1+{n}}}", Question("2", "number"))
            processes.add(grader._worker._process)
        (process,) = processes
        assert process.poll() is None
    assert process.poll() is not None


def test_a_process_that_dies_is_replaced_and_none_starts_for_the_same_comparison(algebra):
    assert algebra.decide("2", "1+1", True) == (RIGHT, "")
    algebra._process.kill()
    algebra._process.wait()
    assert algebra.decide("3", "1+2", True) == (RIGHT, "")
    # and one that dies over a request
    threading.Timer(0.5, algebra._process.kill).start()
    with pytest.raises(NoReply, match="the algebra process died"):
        algebra.decide("5", FOREVER, True)
    assert algebra.decide("3", "2+2", True) == (WRONG, "")
    algebra.decide("2", "1+1", True)
    algebra.close()
    assert algebra.decide("2", "1+1", True) == (RIGHT, "")
    assert algebra._process is None
    algebra.decide("1+1", "2", True)
    assert algebra._process is not None


def test_its_memory_is_limited():
    code = (
        "import ares.evaluation.algebra as a, io, sys\n"
        "sys.stdin = io.StringIO()\n"
        "a.main()\n"
        "try:\n"
        "    bytearray(a.MEMORY_BYTES)\n"
        "except MemoryError:\n"
        "    print('refused', file=sys.__stderr__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "refused" in done.stderr


def test_a_planted_library_is_not_taken_and_a_large_factorial_is_told_by_its_size(
    algebra, tmp_path, monkeypatch
):
    (tmp_path / "math_verify.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    assert algebra.decide("2", "1+1", True) == (RIGHT, "")
    assert algebra.decide("5", "100000000!", False)[0] == WRONG


def test_a_process_that_cannot_start_says_why(algebra, monkeypatch, tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    os.chmod(tmp_path / "python", 0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=r"not start.*no such mod"):
        algebra.decide("2", "1+1", True)
