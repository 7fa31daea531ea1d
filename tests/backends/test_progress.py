"""The bar around `generate`: what it tells on a terminal, and that it is silent elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from ares.backends.base import Failure, Response
from ares.backends.progress import watched
from tests.backends.scenes import questions


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def results():
    for i, asked in enumerate(questions(5)):
        yield asked, Failure("oops", 1) if i == 3 else Response("x", tokens=1000)


def a_terminal(monkeypatch) -> Terminal:
    """Stderr from now on. (No fixture: pytest puts its own stderr in place before the test.)"""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_it_passes_the_results_on_and_tells_them(monkeypatch):
    stderr = a_terminal(monkeypatch)
    pairs = list(results())
    assert list(watched(iter(pairs), 5, "mathvista")) == pairs
    told = stderr.getvalue().split("\r")[-1]
    assert "mathvista: 100%" in told and "5/5" in told
    assert "4,000 tokens, 1 failed" in told


@pytest.mark.parametrize("label", ["", "mathvista"])
def test_it_is_silent_where_nobody_looks(label, monkeypatch, capsys):
    assert len(list(watched(results(), 5, label))) == 5
    assert capsys.readouterr().err == ""


def test_it_is_silent_when_asked(monkeypatch):
    stderr = a_terminal(monkeypatch)
    assert len(list(watched(results(), 5, ""))) == 5
    assert stderr.getvalue() == ""


def test_it_is_lazy_and_closes_what_it_watches(monkeypatch):
    a_terminal(monkeypatch)
    closed = []

    def endless():
        try:
            while True:
                yield from results()
        finally:
            closed.append(True)

    bar = watched(endless(), None, "x")
    assert isinstance(next(bar)[1], Response)
    bar.close()
    assert closed == [True]
