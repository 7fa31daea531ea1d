"""The bar of an evaluation: what it tells on a terminal, and that it is silent elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from ares.answers.base import Question
from ares.answers.grader import Grader
from ares.backends.base import Decoding, Failure, Response
from ares.backends.store import CachedBackend, Store
from ares.data.items import Item
from ares.evaluation.run import answered


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Model:
    """Answers all but the fourth question."""

    def identity(self) -> dict:
        return {"kind": "made up"}

    def generate(self, requests) -> Iterator:
        for place, asked in enumerate(requests):
            yield asked, Failure("oops", 1) if place == 3 else Response("x", tokens=1000)


def asked(folder, progress: str) -> int:
    question = Question(gold="5", answer="number")
    messages = [{"role": "user", "content": "2 + 3"}]
    items = [Item("sums", f"q{i}", messages, question, group=f"q{i}") for i in range(5)]
    with Grader() as grader, Store(folder / "store.sqlite") as store:
        backend = CachedBackend(Model(), store)
        return len(list(answered(items, backend, grader, Decoding(50), 1, 1, progress)))


def test_it_tells_requests_tokens_and_failures_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert asked(tmp_path, "mathvista") == 5
    shown = terminal.getvalue().split("\r")[-1]
    assert "mathvista: 100%" in shown and "5/5" in shown
    assert "4,000 tokens, 1 failed" in shown


@pytest.mark.parametrize(("stream", "name"), [(Terminal(), ""), (io.StringIO(), "mathvista")])
def test_it_is_silent_when_asked_and_where_nobody_looks(stream, name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    assert asked(tmp_path, name) == 5
    assert stream.getvalue() == ""
