"""The client of chat endpoints against a server that answers, refuses, fails and dies."""

import asyncio
import base64
import gc
import io
import json
import math
import re
import threading
import time
from email.utils import formatdate

import pytest
from PIL import Image

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.server import ServerBackend
from ares.backends.wire import parse_reply, proxy_for
from ares.errors import UserError
from tests.backends import stub as stubs
from tests.backends.scenes import backend_of, outcomes, questions, request
from tests.backends.stub import Answer, Stub, name_of, said, slow, status

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def stub():
    with Stub() as stub:
        yield stub


def one(stub: Stub, asked: Request | None = None, **options):
    """What came of one request."""
    ((_, outcome),) = backend_of(stub, **options).generate([asked or request("q")])
    return outcome


def only(place: str, trouble: stubs.Trouble):
    """Trouble with the request `place` alone."""
    return lambda body, time: trouble if name_of(body) == f"{place}#1" else None


def all_but(place: str, trouble: stubs.Trouble):
    """Trouble with every other request."""
    return lambda body, time: None if name_of(body) == f"{place}#1" else trouble


def responses(found) -> int:
    return sum(isinstance(outcome, Response) for outcome in found.values())


def test_what_is_always_sent_and_what_when_set(stub):
    plain = request("2 + 3", seed=7, temperature=0.6)
    one(stub, plain)
    assert stub.requests[0].path == "/v1/chat/completions"
    assert stub.requests[0].body == {
        "model": "stub", "messages": [{"role": "user", "content": "2 + 3"}], "max_tokens": 50,
        "temperature": 0.6, "top_p": 1.0, "seed": 7,
    }  # fmt: skip
    assert "authorization" not in stub.requests[0].headers
    options = {"top_p": 0.9, "top_k": 5, "top_logprobs": 20, "stop": ("END",)}
    one(stub, request("q", **options))
    body = stub.requests[1].body
    assert {name: body[name] for name in options} == {**options, "stop": ["END"]}
    assert body["logprobs"] is True
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": None, "seed": 3}
    one(stub, extra_body=extra)
    body = stub.requests[2].body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "temperature" not in body and body["seed"] == 3


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_pictures_arrive_pixel_by_pixel_in_their_places(stub, mode):
    picture = Image.linear_gradient("L").resize((40, 30)).convert("RGB").convert(mode)
    parts = [{"type": "text", "text": "left"}, {"type": "image", "image": picture},
             {"type": "text", "text": "right"}]  # fmt: skip
    one(stub, Request("r", [{"role": "user", "content": parts}], Decoding(5)))
    sent = stub.requests[0].body["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url", "text"]
    head, data = sent[1]["image_url"]["url"].split(",")
    assert head == "data:image/png;base64"
    arrived = Image.open(io.BytesIO(base64.b64decode(data)))
    shown = picture if mode in ("L", "RGB", "RGBA") else picture.convert("RGB")
    assert (arrived.mode, arrived.tobytes()) == (shown.mode, shown.tobytes())


def test_top_tokens_are_sorted_and_no_more_are_asked_for_than_servers_give(stub):
    with pytest.raises(UserError, match="top_logprobs 21"):
        one(stub, request("q", top_logprobs=21))
    assert not stub.asked
    top = [{"token": "c", "logprob": -3.0}, {"token": "a", "logprob": -0.1, "bytes": [97]},
           {"token": "b", "logprob": -2.5}]  # fmt: skip
    record = {"token": "c", "logprob": -3.0, "bytes": [99], "top_logprobs": top}
    choice = {"message": {"content": "c"}, "logprobs": {"content": [record]}}
    stub.trouble = lambda body, time: said(json.dumps({"choices": [choice]}))
    best = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -2.5},
            {"token": "c", "logprob": -3.0}]  # fmt: skip
    assert one(stub, request("q", top_logprobs=3)).logprobs == [{**best[2], "top_logprobs": best}]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_response_is_read_whole(stub, name):
    stub.answer = lambda body: Answer("the answer is 5", reasoning="2 + 3", reasoning_field=name)
    response = one(stub, request("q", top_logprobs=2))
    assert (response.text, response.reasoning) == ("the answer is 5", "2 + 3")
    assert (response.finish, response.prompt_tokens, response.tokens) == ("stop", 7, 4)
    assert response.full_text == "<think> 2 + 3 </think> the answer is 5"
    assert [record["token"] for record in response.logprobs] == ["the", " answer", " is", " 5"]
    assert {*response.logprobs[0]} == {"token", "logprob", "top_logprobs"}
    assert [top["token"] for top in response.logprobs[3]["top_logprobs"]] == [" 5", " 51"]
    assert response.entropy is None


def test_a_response_is_cut_or_only_thought_or_half_a_character(stub):
    cut = one(stub, request("q", max_tokens=2))
    assert (cut.text, cut.finish, cut.tokens, cut.logprobs) == ("answer to", "length", 2, None)
    stub.answer = lambda body: Answer("", reasoning="and so on", finish="length")
    thought = one(stub)
    assert (thought.text, thought.reasoning, thought.finish) == ("", "and so on", "length")
    reply = '{"choices": [{"message": {"content": "a \\ud83d b \\ud83d\\ude00"}}]}'
    stub.trouble = lambda body, time: said(reply)
    assert one(stub).text == "a ? b 😀"


TROUBLES = {
    "429": (status(429), "HTTP 429 Said: oops"),
    "503": (said("<h1>busy</h1>", 503), "HTTP 503 Said: <h1>busy</h1>"),
    "garbage": (stubs.GARBAGE, "no chat completion"),
    "an error as a success": (said('{"error": {"message": "no GPU"}}'), "completion: no GPU"),
    "deep nonsense": (said("[" * 100_000), "no chat completion"),
    "web page": (stubs.WEB_PAGE, "no chat completion: <html>Welcome"),
    "cut chunks": (stubs.CUT_CHUNKS, "the connection broke"),
    "nothing": (stubs.NOTHING, "the connection broke"),
    "reset": (stubs.RESET, "the connection broke"),
    "hang midway": (stubs.HANG_MIDWAY, r"no answer within 0\.4 s"),
    "slow": (slow(1.0), r"no answer within 0\.4 s"),
    "huge": (stubs.HUGE, "a reply of more than 1074176 bytes"),
}


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_is_outlived_and_where_it_stays_it_is_one_request_s(stub, trouble, reason):
    # Only what has to time out may: on a busy machine an answer can take its time.
    options = {"timeout_s": 0.4 if "within" in reason else 5.0}
    stub.trouble = lambda body, time: trouble if time < 3 else None
    found = outcomes(backend_of(stub, parallel=2, **options), questions(2))
    assert {name: outcome.text for name, outcome in found.items()} == {
        "q0": "answer to q0#1",
        "q1": "answer to q1#1",
    }
    assert stub.asked == {"q0#1": 3, "q1#1": 3}
    stub.trouble = only("q3", trouble)
    found = outcomes(backend_of(stub, **options), questions(12))
    failure = found.pop("q3")
    assert failure.attempts == 3 and re.search(reason, failure.reason)
    assert responses(found) == 11
    assert stub.asked["q3#1"] == 3 and stub.asked.total() == 20


@pytest.mark.parametrize("code", [302, 400, 413, 422])
def test_a_refusal_of_a_request_is_final_and_in_the_server_s_words(stub, code):
    stub.trouble = only("q1", status(code, "maximum context length is 4096 tokens"))
    found = outcomes(backend_of(stub), questions(5))
    words = f"HTTP {code} Said: maximum context length is 4096 tokens"
    assert found.pop("q1") == Failure(words, attempts=1)
    assert responses(found) == 4 and stub.asked["q1#1"] == 1


def test_waits_double_up_to_a_minute(stub, monkeypatch):
    waits: list[float] = []

    async def note(client, seconds):
        waits.append(seconds)

    monkeypatch.setattr("ares.backends.client.Client._pause", note)
    monkeypatch.setattr("ares.backends.client.random.uniform", lambda low, high: high)
    stub.trouble = lambda body, time: status(500)
    one(stub, wait_s=8.0, attempts=6)
    assert waits == [10.0, 20.0, 40.0, 75.0, 75.0]


@pytest.mark.parametrize("dated", [False, True])
def test_everyone_waits_when_the_server_asks_for_it(stub, dated):
    times: list[float] = []

    def trouble(body, time_):
        times.append(time.monotonic())
        # (A date has whole seconds: this one is 1.5 to 2.5 seconds away.)
        asked = formatdate(math.ceil(time.time() + 1.5), usegmt=True) if dated else "1.5"
        return status(429, retry_after=asked) if len(times) == 8 else None

    stub.trouble, stub.delay_s = trouble, 0.02
    assert responses(outcomes(backend_of(stub, parallel=3), questions(30))) == 30
    # Those on their way arrive all the same, the others after the silence.
    assert len(times) == 31 and sum(at - times[7] > 1.4 for at in times) >= 20
    assert not any(0.7 < at - times[7] < 1.4 for at in times)


@pytest.mark.parametrize(
    ("trouble", "message", "most"),
    [
        (status(401, f"bad key {KEY}"), "HTTP 401; the API key in OPENAI_API_KEY is refused", 4),
        (status(404, "no model `stub`."), r"no model `stub`\.; no such model there, or", 4),
        (status(429, "quota", retry_after="3600"), "asks to be left alone for 3600 s", 4),
        (status(400, "top_k is bad"), r"8 requests in a row.*top_k is bad", 20),
    ],
)
def test_what_no_request_can_succeed_with_ends_the_run(stub, monkeypatch, trouble, message, most):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub.trouble = lambda body, time: trouble
    with pytest.raises(UserError, match=message) as caught:
        outcomes(backend_of(stub), questions(1000))
    assert "secret" not in str(caught.value)
    assert stub.asked.total() <= most


@pytest.mark.parametrize(
    ("value", "told"),
    [("", "in OTHER_KEY is not set"), (f"{KEY}1", "in OTHER_KEY is refused"), (f" {KEY}\n", ""),
     (f"{KEY}\nX-Other: 1", "OTHER_KEY: an API key is one line")],
)  # fmt: skip
def test_a_key_is_named_by_its_variable_and_never_shown(stub, monkeypatch, value, told):
    stub.api_key = KEY
    monkeypatch.setenv("OTHER_KEY", value)
    if told:
        with pytest.raises(UserError, match=told) as caught:
            one(stub, key_variable="OTHER_KEY")
        assert "secret" not in str(caught.value)
    else:
        assert isinstance(one(stub, key_variable="OTHER_KEY"), Response)


def test_what_is_under_way_is_kept_when_the_run_ends(stub):
    stub.trouble = lambda body, time: status(404) if name_of(body) == "q3#1" else slow(0.3)
    found = []
    with pytest.raises(UserError, match="HTTP 404"):
        for asked, outcome in backend_of(stub).generate(questions(50)):
            found.append((asked.id, outcome.text))
    assert sorted(found) == [(f"q{i}", f"answer to q{i}#1") for i in range(3)]
    assert stub.asked.total() == 4


def test_no_server_or_one_that_hangs_ends_the_run_soon(stub):
    backend = ServerBackend("http://127.0.0.1:9/v1", "m", wait_s=0.05, attempts=100)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/v1, model m: no connection.*running"):
        outcomes(backend, questions(200))
    assert time.monotonic() - start < 5
    stub.trouble = all_but("q0", stubs.HANG)
    with pytest.raises(UserError, match=r"no answer within 0\.3 s, 16 times in a row"):
        outcomes(backend_of(stub, timeout_s=0.3, parallel=4, attempts=50), questions(1000))
    assert stub.asked.total() < 30


def test_a_server_that_dies_leaves_failures_and_an_end():
    with Stub(delay_s=0.02) as stub:
        found: list[Response | Failure] = []
        with pytest.raises(UserError, match=r"8 requests in a row came to nothing.*run again"):
            for _, outcome in backend_of(stub, parallel=2).generate(questions(10_000)):
                found.append(outcome)
                if len(found) == 5:
                    stub.stop()
    failures = [outcome for outcome in found if isinstance(outcome, Failure)]
    assert len(found) - len(failures) >= 5 and len(failures) == 7
    assert {failure.attempts for failure in failures} == {3}


def test_refusals_after_an_answer_are_the_requests_own(stub):
    stub.trouble = all_but("q0", status(400))
    assert responses(outcomes(backend_of(stub, parallel=1), questions(30))) == 1


def test_as_many_at_a_time_as_allowed_and_no_more_are_taken(stub):
    stub.delay_s, taken = 0.02, 0

    def requests():
        nonlocal taken
        for asked in questions(60):
            taken += 1
            yield asked

    done = 0
    for _ in backend_of(stub, parallel=6).generate(requests()):
        done += 1
        assert taken <= done + 12
    assert done == taken == 60
    assert stub.most_at_once == 6


def threads() -> list[str]:
    return sorted(t.name for t in threading.enumerate() if t.name != "stub")


@pytest.mark.filterwarnings("error")
def test_closing_early_leaves_nothing_behind(stub):
    before = threads()
    stub.trouble = all_but("q0", stubs.HANG)
    results = backend_of(stub, timeout_s=60.0).generate(questions(100))
    next(results)
    start = time.monotonic()
    results.close()
    gc.collect()
    assert time.monotonic() - start < 20  # far below the time limit of a request
    assert threads() == before
    assert stub.asked.total() <= 9


def test_errors_of_the_caller_are_the_caller_s_and_a_running_loop_is_no_harm(stub):
    def requests():
        yield from questions(3)
        raise LookupError("no such picture")

    before = threads()
    with pytest.raises(LookupError, match="no such picture"):
        outcomes(backend_of(stub), requests())
    assert list(ServerBackend("http://127.0.0.1:9/v1", "m").generate([])) == []
    assert threads() == before

    async def cell():
        return outcomes(backend_of(stub), questions(3))

    assert len(asyncio.run(cell())) == 3


def test_identity_is_the_model_and_the_proxy_is_the_environment_s(monkeypatch):
    backend = ServerBackend("http://a:1/v1", "m", extra_body={"x": 1}, revision="r")
    assert backend.identity() == {
        "kind": "server", "model": "m", "revision": "r", "extra_body": {"x": 1},
    }  # fmt: skip
    other = ServerBackend("http://c:3/v1", "m", parallel=1, attempts=2, key_variable="K")
    assert ServerBackend("http://b:2/v1", "m").identity() == other.identity()
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert proxy_for("http://model.example.com/v1") == "http://proxy:3128"
    assert proxy_for("http://127.0.0.1:8000/v1") is None


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://host:port/v1", "http://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UserError, match="is no address of a server"):
        ServerBackend(url, "m")


def reply(logprobs, content="5"):
    choice = {"message": {"content": content}, "logprobs": logprobs, "finish_reason": "stop"}
    return parse_reply(json.dumps({"choices": [choice]}).encode())[0]


def test_the_form_of_log_probabilities_does_not_decide_about_the_answer():
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "5"}]
    assert reply(None, parts).text == "5"
    for unreadable in ({"content": [{"logprob": -1}]}, {"content": 3}, [1], "none"):
        assert (reply(unreadable).text, reply(unreadable).logprobs) == ("5", None)
    legacy = {"tokens": ["5"], "token_logprobs": [-0.1], "top_logprobs": [{"5": -0.1, "6": None}]}
    one = {"token": "5", "logprob": -0.1}
    assert reply(legacy).logprobs == [one | {"top_logprobs": [one]}]
    nothing = {"token": "6", "logprob": -math.inf}
    chat = {"content": [one | {"top_logprobs": [nothing, one]}]}
    assert reply(chat).logprobs == [one | {"top_logprobs": [one]}]
