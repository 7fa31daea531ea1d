"""The worker process: limits of time and memory, crashes, starts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from ares.answers import algebra
from ares.answers.algebra import AlgebraWorker, NoReply
from ares.answers.base import RIGHT, UNGRADABLE, Question
from ares.answers.grader import Grader
from ares.errors import UserError

HANGING = ["9^{9^{9^{9}}}", "(x+1)^{3000}(x-1)^{3000}"]


@pytest.mark.parametrize("answer", HANGING)
def test_an_answer_that_hangs_is_ungradable_and_the_next_is_graded(answer):
    gold = "(x^2-1)^{3000}" if "x" in answer else "5"
    with Grader(time_limit_s=0.5) as grader:
        grader.grade(r"\boxed{1+1}", Question("2", "number"))  # the start is not on the clock
        start = time.monotonic()
        grade = grader.grade(rf"\boxed{{{answer}}}", Question(gold, "expression"))
        assert time.monotonic() - start < 5
        assert (grade.status, grade.note) == (UNGRADABLE, "took longer than 0.5 s")
        grader._worker.time_limit_s = 60
        assert grader.grade(r"\boxed{1+2}", Question("3", "number")).status == RIGHT


def test_a_large_factorial_is_told_apart_by_its_size():
    with Grader(time_limit_s=60) as grader:
        assert grader.grade(r"\boxed{100000000!}", Question("5", "expression")).status == "wrong"


def test_a_gold_that_hangs_is_ungradable():
    with Grader(time_limit_s=0.5) as grader:
        assert grader.grade(r"\boxed{5}", Question("9^{9^{9^{9}}}", "number")).status == UNGRADABLE


def test_most_answers_start_no_process():
    with Grader() as grader:
        assert grader.grade(r"\boxed{0.5}", Question(r"\frac12", "number")).status == RIGHT
        assert grader.grade(r"\boxed{(0,1)}", Question("[0,1)", "expression")).status != RIGHT
        assert grader._worker._process is None


def test_one_process_serves_many_and_ends_with_the_grader():
    with Grader(time_limit_s=60) as grader:
        processes = set()
        for n in range(3):
            grader.grade(rf"\boxed{{1+{n}}}", Question("2", "number"))
            processes.add(grader._worker._process)
        (process,) = processes
        assert process.poll() is None
    assert process.poll() is not None


def test_a_worker_that_dies_is_replaced():
    with AlgebraWorker(60) as worker:
        assert worker.decide("2", "1+1", True) == {"equal": True}
        worker._process.kill()
        worker._process.wait()
        assert worker.decide("3", "1+2", True) == {"equal": True}
        # and one that dies over a request
        threading.Timer(0.5, worker._process.kill).start()
        with pytest.raises(NoReply, match="the algebra process died"):
            worker.decide("5", "9^{9^{9^{9}}}", True)
        assert worker.decide("3", "2+2", True) == {"equal": False}


def test_the_same_comparison_is_made_once():
    with AlgebraWorker(60) as worker:
        assert worker.decide("2", "1+1", True) == {"equal": True}
        worker.close()
        assert worker.decide("2", "1+1", True) == {"equal": True}
        assert worker._process is None
        assert worker.decide("1+1", "2", True) == {"equal": True}
        assert worker._process is not None


def test_it_ends_when_its_input_does():
    process = subprocess.run(
        [sys.executable, "-m", "ares.answers.worker"],
        input='{"gold": "2", "answer": "1+1", "letters": true}\n',
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert process.stdout == '{"ready": true}\n{"equal": true}\n'


def test_its_memory_is_limited():
    code = (
        "import ares.answers.worker as w, io, sys\n"
        "sys.stdin = io.StringIO()\n"
        "w.main()\n"
        "try:\n"
        "    bytearray(w.MEMORY_BYTES)\n"
        "except MemoryError:\n"
        "    print('refused', file=sys.__stderr__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "refused" in done.stderr


def test_a_library_in_the_current_folder_is_not_taken(tmp_path, monkeypatch):
    (tmp_path / "math_verify.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    with AlgebraWorker(60) as worker:
        assert worker.decide("2", "1+1", True) == {"equal": True}


def test_a_worker_that_cannot_start_says_why(monkeypatch, tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    os.chmod(tmp_path / "python", 0o755)
    monkeypatch.setattr(algebra.sys, "executable", str(tmp_path / "python"))
    with AlgebraWorker(1) as worker, pytest.raises(UserError, match=r"not start.*no such mod"):
        worker.decide("2", "1+1", True)


def test_limits_hold_in_threads():
    found = []

    def work() -> None:
        with Grader(time_limit_s=0.5) as grader:
            found.append(grader.grade(r"\boxed{9^{9^{9^9}}}", Question("5", "number")).status)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert found == [UNGRADABLE]
