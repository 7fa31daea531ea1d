"""Getting a lexicon from traces, with our list and with an endpoint as the judge."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ares.errors import UserError
from ares.method.judge import EndpointJudge, extract_lexicon, rank_tokens
from ares.method.lexicon import load_lexicon

TOKENS = [" so", "So", "7", "the", "the", " wait", " wait", "once"]
ENTROPY = [1.0, 2.0, 9.0, 3.0, 3.0, 0.5, 0.7, 8.0]


def test_rank_tokens_merges_spellings_and_drops_the_rare():
    ranked = rank_tokens(TOKENS, ENTROPY, min_count=2)
    assert [(row.token, row.entropy, row.count) for row in ranked] == [
        ("the", 3.0, 2),
        ("so", 1.5, 2),
        ("wait", 0.6, 2),
    ]


def test_ties_are_ranked_by_name():
    assert [row.token for row in rank_tokens(["b", "a"], [1.0, 1.0])] == ["a", "b"]


def test_our_list_is_the_offline_judge():
    ranked = rank_tokens(TOKENS, ENTROPY, min_count=2)
    judge = load_lexicon().__contains__
    assert extract_lexicon(ranked, judge, top=3).categories == {"extracted": ("so", "wait")}
    assert extract_lexicon(ranked, judge, top=2).categories == {"extracted": ("so",)}
    with pytest.raises(UserError, match="accepted none"):
        extract_lexicon(ranked, judge, top=1)


def test_traces_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="length"):
        rank_tokens(["a", "b"], [1.0])
    with pytest.raises(UserError, match="NaN"):
        rank_tokens(["a"], [float("nan")])


class Endpoint(BaseHTTPRequestHandler):
    """Answers from the server's list of (status, text); keeps what it was asked."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        status, text = self.server.answers.pop(0)
        reply = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def server():
    httpd = HTTPServer(("127.0.0.1", 0), Endpoint)
    httpd.answers, httpd.asked = [], []
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def judge_of(server, **changes) -> EndpointJudge:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return EndpointJudge(url, "judge-model", wait_s=0.0, timeout_s=10.0, **changes)


def test_endpoint_answers_yes_and_no(server, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    server.answers += [(200, "Yes."), (200, " no")]
    judge = judge_of(server, key_variable="JUDGE_KEY")
    assert (judge("so"), judge("the")) == (True, False)
    path, key, body = server.asked[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "judge-model")
    assert "'so'" in body["messages"][0]["content"]


def test_endpoint_is_asked_again_after_a_server_fault(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.answers += [(503, ""), (429, ""), (200, "perhaps"), (200, "yes")]
    assert judge_of(server)("so")
    assert len(server.asked) == 4
    assert server.asked[0][1] is None


def test_endpoint_gives_up_with_the_reason(server):
    server.answers += [(401, "")]
    with pytest.raises(UserError, match="HTTP 401"):
        judge_of(server)("so")
    assert len(server.asked) == 1
    server.answers += [(200, "perhaps")] * 2
    with pytest.raises(UserError, match="instead of yes or no"):
        judge_of(server, attempts=2)("so")


def test_no_server_is_told():
    with pytest.raises(UserError, match="judge m at"):
        EndpointJudge("http://127.0.0.1:9/v1", "m", attempts=1)("so")
