"""The endpoint client against a server that refuses, fails, talks nonsense, and answers."""

from __future__ import annotations

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from ares.coldstart.endpoint import Budget, ChatEndpoint, EndpointTeacher, Manner, chat_messages
from ares.coldstart.pool import build_pool
from ares.coldstart.teachers import SourceStopped, TeacherTrace
from ares.errors import UserError
from ares.model.tiny import build_tokenizer
from ares.sampling.rollouts import Task
from ares.world.problem import Problem
from ares.world.prompts import picture
from ares.world.settings import load_world

TASK = Task(Problem((2, 3), 5), "easy", "text")
RIGHT = "<think> guess </think> \\boxed{ 3 + 2 = 5 }"
BODY = {"model": "m", "messages": [], "max_tokens": 50, "seed": 0}


def completion(content, finish: str = "stop", tokens: int | None = 30, **message) -> str:
    usage = {"usage": {"total_tokens": tokens}} if tokens is not None else {}
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice], **usage})


class Handler(BaseHTTPRequestHandler):
    """Answers from the server's list of (status, text), the last one for ever."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append((self.path, self.headers.get("Authorization"), body))
            answers = server.answers
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.answers, httpd.asked, httpd.lock = [(200, completion(RIGHT))], [], threading.Lock()
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def endpoint(server, tmp_path, monkeypatch):
    """A function that makes a client of the server, without waits."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(**options) -> ChatEndpoint:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        settings = {"wait_s": 0.0, "timeout_s": 10.0, "attempts": 4, **options}
        return ChatEndpoint(url, tmp_path / "cache", **settings)

    return make


def teacher(endpoint: ChatEndpoint, *manners: Manner, **options) -> EndpointTeacher:
    settings = {"number": 2, "max_tokens": 50, **options}
    return EndpointTeacher(endpoint, "m", manners or (Manner(),), **settings)


def test_overload_faults_and_garbage_are_tried_again(server, endpoint):
    server.answers = [
        (429, "slow down"),
        (503, "oops"),
        (200, "<html>not json"),
        (200, completion("done")),
    ]
    assert endpoint().ask(BODY).text == "done"
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "reply",
    ['{"choices": []}', '{"error": "x"}', "[1]", '{"choices": [{"message": "x"}]}',
     completion(["parts"]), completion("x", tokens=None)[:-1] + ', "usage": "many"}'],
)  # fmt: skip
def test_a_reply_of_another_shape_is_garbage(server, endpoint, reply):
    server.answers = [(200, reply)]
    with pytest.raises(UserError, match="no chat completion"):
        endpoint(attempts=2).ask(BODY)
    assert len(server.asked) == 2


def test_waits_double(server, endpoint, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("ares.coldstart.endpoint.time.sleep", waits.append)
    server.answers = [(500, "oops")]
    with pytest.raises(UserError, match="HTTP 500"):
        endpoint(wait_s=1.5).ask(BODY)
    assert waits == [1.5, 3.0, 6.0]


def test_a_refusal_is_final(server, endpoint):
    server.answers = [(401, "bad key sk-secret")]
    with pytest.raises(UserError, match="HTTP 401") as refusal:
        endpoint().ask(BODY)
    assert len(server.asked) == 1
    assert "sk-secret" not in str(refusal.value)  # servers repeat keys in their messages


def test_a_server_that_is_not_there_is_named(tmp_path):
    endpoint = ChatEndpoint("http://127.0.0.1:9/v1", tmp_path, wait_s=0.0, attempts=2)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/v1, model m"):
        endpoint.ask(BODY)


def test_nothing_is_asked_twice(server, endpoint):
    first = endpoint().ask(BODY)
    assert endpoint().ask(BODY) == first
    assert len(server.asked) == 1


@pytest.mark.parametrize("change", [{"seed": 1}, {"model": "n"}, {"temperature": 0.5}])
def test_whatever_differs_in_a_request_makes_it_another(server, endpoint, change):
    endpoint().ask(BODY)
    endpoint().ask({**BODY, **change})
    assert len(server.asked) == 2


def test_the_key_is_sent_and_never_written(server, endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    endpoint(key_variable="TEACHER_KEY").ask(BODY)
    assert server.asked[0][1] == "Bearer sk-secret"
    (file,) = (tmp_path / "cache").iterdir()
    assert "secret" not in file.read_text() + file.name
    # The key is no part of the question, so another key finds the same answer.
    monkeypatch.setenv("TEACHER_KEY", "sk-other")
    endpoint(key_variable="TEACHER_KEY").ask(BODY)
    assert len(server.asked) == 1


def test_no_key_no_header(server, endpoint):
    endpoint().ask(BODY)
    assert server.asked[0][1] is None


def test_a_budget_of_requests_counts_attempts_and_not_the_cache(server, endpoint):
    budget = Budget(requests=2)
    client = endpoint(budget=budget)
    server.answers = [(500, "oops"), (200, completion("done"))]
    client.ask(BODY)
    client.ask(BODY)
    with pytest.raises(SourceStopped, match="budget of 2 requests is spent"):
        client.ask({**BODY, "seed": 1})
    assert len(server.asked) == 2


def test_a_budget_of_tokens_believes_the_replies_or_assumes_the_most(server, endpoint):
    client = endpoint(budget=Budget(tokens=60))
    server.answers = [(200, completion("a", tokens=30)), (200, completion("b", tokens=None))]
    client.ask(BODY)
    client.ask({**BODY, "seed": 1})  # 30 used; this one counts as max_tokens
    assert client.budget.used_tokens == 80
    with pytest.raises(SourceStopped, match="budget of 60 tokens"):
        client.ask({**BODY, "seed": 2})


def test_every_manner_is_asked_every_time(server, endpoint):
    manners = (Manner("low", 0.5), Manner("high"), Manner())
    found = teacher(endpoint(), *manners, parallel=3).traces(TASK)
    assert [(t.habit, t.index) for t in found] == [
        (name, index)
        for name in ("effort low, temperature 0.5", "effort high", "default")
        for index in (0, 1)
    ]
    sent = [(b.get("reasoning_effort"), b.get("temperature"), b["seed"]) for *_, b in server.asked]
    assert sorted(sent, key=str) == sorted(
        [(e, t, i) for e, t in (("low", 0.5), ("high", None), (None, None)) for i in (0, 1)],
        key=str,
    )
    assert server.asked[0][0] == "/v1/chat/completions"


def test_reasoning_that_comes_apart_is_put_back(server, endpoint):
    boxed = "\\boxed{ 3 + 2 = 5 }"
    for name in ("reasoning_content", "reasoning"):
        server.answers = [(200, completion(boxed, **{name: "guess"}))]
        found = teacher(endpoint(), Manner(name), number=1).traces(TASK)
        assert found == [TeacherTrace(f"effort {name}", 0, RIGHT)]


def test_replies_that_were_cut_are_no_traces(server, endpoint):
    server.answers = [(200, completion(None, finish="length", reasoning="so far")),
                      (200, completion(RIGHT))]  # fmt: skip
    assert [t.index for t in teacher(endpoint()).traces(TASK)] == [1]


def test_a_picture_travels_as_a_data_url():
    task = Task(Problem((2, 3), 5), "easy", "image", look=7)
    system, user = chat_messages(task)
    assert system["role"] == "system" and system["content"][0]["type"] == "text"
    image, text = user["content"]
    head, data = image["image_url"]["url"].split(",")
    assert head == "data:image/png;base64" and image["type"] == "image_url"
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert sent.tobytes() == picture(task.problem, 7).tobytes()
    assert text == {"type": "text", "text": "cards target 5"}


def test_a_text_prompt_has_no_picture():
    assert "image" not in json.dumps(chat_messages(TASK))


def test_a_killed_run_goes_on_from_its_cache_into_the_same_pool(server, endpoint):
    world = load_world()
    tasks = [TASK, Task(TASK.problem, "easy", "image")]
    arguments = (build_tokenizer(world), world, 99)
    stopped = build_pool(tasks, teacher(endpoint(budget=Budget(requests=3))), *arguments)
    assert len(stopped.traces) == 1 and "run again" in stopped.stopped
    whole = build_pool(tasks, teacher(endpoint()), *arguments)
    assert len(whole.traces) == 2 and whole.stopped == ""
    assert len(server.asked) == 4
