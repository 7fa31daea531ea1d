"""A model behind an endpoint as the judge of a lexicon."""

from __future__ import annotations

import json

import pytest

from ares.backends.judge import EndpointJudge
from ares.errors import UserError
from ares.method.judge import extract_lexicon, rank_tokens
from tests.backends.stub import Body, Stub, Trouble, said


class Server(Stub):
    """Answers from a list of (status, text)."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        super().__init__(trouble=self.say)

    def say(self, body: Body, time: int) -> Trouble:
        status, text = self.answers.pop(0)
        return said(json.dumps({"choices": [{"message": {"content": text}}]}), status)

    @property
    def seen(self) -> list[tuple[str, str | None, Body]]:
        return [(path, headers.get("authorization"), body) for path, headers, body in self.requests]


@pytest.fixture
def server():
    with Server() as server:
        yield server


def judge_of(server: Server, **changes) -> EndpointJudge:
    return EndpointJudge(server.url, "judge-model", wait_s=0.0, timeout_s=10.0, **changes)


def test_endpoint_answers_yes_and_no(server, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    server.answers += [(200, "Yes."), (200, " no")]
    judge = judge_of(server, key_variable="JUDGE_KEY")
    assert (judge("so"), judge("the")) == (True, False)
    path, key, body = server.seen[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "judge-model")
    assert "'so'" in body["messages"][0]["content"]


def test_endpoint_is_asked_again_after_a_server_fault(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.answers += [(503, ""), (429, ""), (200, "perhaps"), (200, "yes")]
    assert judge_of(server)("so")
    assert len(server.seen) == 4
    assert server.seen[0][1] is None


def test_endpoint_gives_up_with_the_reason(server):
    server.answers += [(401, "")]
    with pytest.raises(UserError, match="HTTP 401"):
        judge_of(server)("so")
    assert len(server.seen) == 1
    server.answers += [(200, "perhaps")] * 2
    with pytest.raises(UserError, match="instead of yes or no"):
        judge_of(server, attempts=2)("so")


def test_no_server_is_told():
    with pytest.raises(UserError, match="judge m at"):
        EndpointJudge("http://127.0.0.1:9/v1", "m", attempts=1)("so")


def test_a_lexicon_is_what_the_endpoint_accepts(server):
    server.answers += [(200, "yes"), (200, "No.")]
    ranked = rank_tokens(["but", "the"], [2.0, 1.0])
    assert extract_lexicon(ranked, judge_of(server), top=2).categories == {"extracted": ("but",)}
