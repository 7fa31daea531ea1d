"""Teachers behind an endpoint that refuses, fails, talks nonsense, and answers."""

from __future__ import annotations

import base64
import io
import json
import zlib

import pytest
from PIL import Image

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.budget import Budget, BudgetSpent
from ares.backends.chat_format import openai_messages
from ares.backends.store import Store
from ares.coldstart.endpoint import ChatEndpoint, EndpointTeacher, Manner, task_messages
from ares.coldstart.pool import build_pool
from ares.coldstart.teachers import SourceStopped, TeacherTrace
from ares.config import load_config
from ares.errors import UserError
from ares.io import read_table
from ares.model.tiny import build_tokenizer
from ares.sampling.rollouts import Task
from ares.world.problem import Problem
from ares.world.prompts import picture
from ares.world.settings import load_world
from tests.backends.stub import Body, Stub, Trouble, said
from tests.coldstart.scenes import asking
from tests.steps import launched

TASK = Task(Problem((2, 3), 5), "easy", "text")
RIGHT = "<think> guess </think> \\boxed{ 3 + 2 = 5 }"


def completion(content, finish: str = "stop", tokens: int | None = 30, **message) -> str:
    usage = {"usage": {"total_tokens": tokens}} if tokens is not None else {}
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice], **usage})


class Server(Stub):
    """Answers from a list of (status, text), the last one for ever."""

    def __init__(self) -> None:
        self.answers = [(200, completion(RIGHT))]
        super().__init__(trouble=self.say)

    def say(self, body: Body, time: int) -> Trouble:
        status, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return said(text, status)

    @property
    def seen(self) -> list[tuple[str, str | None, Body]]:
        return [(path, headers.get("authorization"), body) for path, headers, body in self.requests]


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        yield store


@pytest.fixture
def endpoint(server, store, monkeypatch):
    """A function that makes a client of the server, without waits."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(**options) -> ChatEndpoint:
        settings = {"wait_s": 0.0, "timeout_s": 10.0, "attempts": 4, **options}
        return ChatEndpoint(server.url, store, **settings)

    return make


def ask(
    endpoint: ChatEndpoint, model: str = "m", seed: int = 0, temperature: float = 1.0
) -> Response | Failure:
    """What comes of one question."""
    decoding = Decoding(50, temperature=temperature)
    request = Request("q", [{"role": "user", "content": "q"}], decoding, seed)
    ((_, outcome),) = endpoint.backend(model, 1, {}).generate([request])
    return outcome


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
    assert ask(endpoint()).text == "done"
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "reply",
    ['{"choices": []}', '{"error": "x"}', "[1]", '{"choices": [{"message": "x"}]}',
     completion(["parts"]), completion("x", tokens=None)[:-1] + ', "usage": "many"}'],
)  # fmt: skip
def test_a_reply_of_another_shape_is_garbage(server, endpoint, reply):
    server.answers = [(200, reply)]
    with pytest.raises(UserError, match="no chat completion"):
        teacher(endpoint(attempts=2), number=1).traces(TASK)
    assert len(server.seen) == 2


def test_waits_double(server, endpoint, monkeypatch):
    waits: list[float] = []

    async def note(client, seconds):
        waits.append(seconds)

    monkeypatch.setattr("ares.backends.client.Client._pause", note)
    monkeypatch.setattr("ares.backends.client.random.uniform", lambda low, high: low)
    server.answers = [(500, "oops")]
    with pytest.raises(UserError, match="HTTP 500"):
        teacher(endpoint(wait_s=1.5), number=1).traces(TASK)
    assert waits == [1.5, 3.0, 6.0]


def test_a_refusal_is_final(server, endpoint):
    server.answers = [(401, "bad key sk-secret")]
    with pytest.raises(UserError, match="HTTP 401") as refusal:
        teacher(endpoint(), number=1).traces(TASK)
    assert len(server.seen) == 1
    assert "sk-secret" not in str(refusal.value)  # servers repeat keys in their messages


def test_a_server_that_is_not_there_is_named(store):
    endpoint = ChatEndpoint("http://127.0.0.1:9/v1", store, wait_s=0.0, attempts=2)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/v1, model m"):
        ask(endpoint)


def test_nothing_is_asked_twice(server, endpoint):
    first = ask(endpoint())
    assert ask(endpoint()) == first
    assert len(server.seen) == 1


@pytest.mark.parametrize("change", [{"seed": 1}, {"model": "n"}, {"temperature": 0.5}])
def test_whatever_differs_in_a_request_makes_it_another(server, endpoint, change):
    ask(endpoint())
    ask(endpoint(), **change)
    assert len(server.seen) == 2


def test_the_key_is_sent_and_never_written(server, endpoint, store, tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    ask(endpoint(key_variable="TEACHER_KEY"))
    assert server.seen[0][1] == "Bearer sk-secret"
    files = list(tmp_path.glob("answers.sqlite*"))
    assert files and all(b"secret" not in file.read_bytes() for file in files)
    ((kept,),) = store._database.execute("SELECT response FROM responses")
    assert b"secret" not in zlib.decompress(kept)
    # The key is no part of the question, so another key finds the same answer.
    monkeypatch.setenv("TEACHER_KEY", "sk-other")
    ask(endpoint(key_variable="TEACHER_KEY"))
    assert len(server.seen) == 1


def test_no_key_no_header(server, endpoint):
    ask(endpoint())
    assert server.seen[0][1] is None


def test_a_budget_of_requests_counts_attempts_and_not_the_cache(server, endpoint):
    budget = Budget(requests=2)
    client = endpoint(budget=budget)
    server.answers = [(500, "oops"), (200, completion("done"))]
    ask(client)
    ask(client)
    with pytest.raises(BudgetSpent, match="budget of 2 requests is spent"):
        ask(client, seed=1)
    with pytest.raises(SourceStopped, match="budget of 2 requests is spent"):
        teacher(client).traces(TASK)
    assert len(server.seen) == 2


def test_a_budget_of_tokens_believes_the_replies_or_assumes_the_most(server, endpoint):
    client = endpoint(budget=Budget(tokens=60))
    server.answers = [(200, completion("a", tokens=30)), (200, completion("b", tokens=None))]
    ask(client)
    ask(client, seed=1)  # 30 used; this one counts as max_tokens
    assert client.budget.used_tokens == 80
    with pytest.raises(BudgetSpent, match="budget of 60 tokens"):
        ask(client, seed=2)


def test_every_manner_is_asked_every_time(server, endpoint):
    manners = (Manner("low", 0.5), Manner("high"), Manner())
    found = teacher(endpoint(), *manners, parallel=3).traces(TASK)
    assert [(t.habit, t.index) for t in found] == [
        (name, index)
        for name in ("effort low, temperature 0.5", "effort high", "default")
        for index in (0, 1)
    ]
    sent = [(b.get("reasoning_effort"), b.get("temperature"), b["seed"]) for *_, b in server.seen]
    assert sorted(sent, key=str) == sorted(
        [(e, t, i) for e, t in (("low", 0.5), ("high", None), (None, None)) for i in (0, 1)],
        key=str,
    )
    assert server.seen[0][0] == "/v1/chat/completions"


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
    system, user = openai_messages(task_messages(task))
    assert system["role"] == "system" and system["content"][0]["type"] == "text"
    image, text = user["content"]
    head, data = image["image_url"]["url"].split(",")
    assert head == "data:image/png;base64" and image["type"] == "image_url"
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert sent.tobytes() == picture(task.problem, 7).tobytes()
    assert text == {"type": "text", "text": "cards target 5"}


def test_a_text_prompt_has_no_picture():
    assert "image" not in json.dumps(task_messages(TASK))


def test_a_killed_run_goes_on_from_its_cache_into_the_same_pool(server, endpoint):
    world = load_world()
    tasks = [TASK, Task(TASK.problem, "easy", "image")]
    arguments = (build_tokenizer(world), world, 99)
    stopped = build_pool(tasks, teacher(endpoint(budget=Budget(requests=3))), *arguments)
    assert len(stopped.traces) == 1 and "run again" in stopped.stopped
    whole = build_pool(tasks, teacher(endpoint()), *arguments)
    assert len(whole.traces) == 2 and whole.stopped == ""
    assert len(server.seen) == 4


@pytest.mark.parametrize("parallel", [1, 2, 3, 8])
def test_no_more_than_so_many_are_under_way(server, endpoint, parallel):
    server.answer, server.trouble, server.delay_s = (
        lambda body: RIGHT,
        lambda body, time: None,
        0.02,
    )
    manners = (Manner("low"), Manner("high"), Manner())
    found = teacher(endpoint(), *manners, parallel=parallel, number=3).traces(TASK)
    assert len(found) == 9 and server.most_at_once <= parallel


@pytest.fixture
def command(server, tmp_path, model_folder, monkeypatch) -> list[str]:
    """Options of the step, with the server as the teacher."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return asking(tmp_path, model_folder, server.url)


def test_the_command_stops_at_its_budget_and_goes_on_from_there(server, command, tmp_path, capsys):
    number = load_config("smoke").cold_start.teachers.traces
    assert launched("traces", *command, "--max-requests", 3 * number) == 0
    assert "is not complete: the budget of" in capsys.readouterr().err
    assert len(server.seen) == 3 * number
    assert launched("traces", *command) == 0
    assert len(server.seen) == 2 * 2 * number  # presentations, efforts
    pool = read_table(tmp_path / "pool.parquet")
    # Both efforts and all repeats say the same here, and a pool holds a text once per prompt.
    assert pool[["presentation", "habit", "text"]].values.tolist() == [
        ["text", "effort low", RIGHT],
        ["image", "effort low", RIGHT],
    ]
    assert launched("traces", *command) == 0 and len(server.seen) == 2 * 2 * number
