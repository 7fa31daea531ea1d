"""The client of chat endpoints against a server that answers, refuses, fails and dies."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import threading
import time
import warnings

import pytest
from PIL import Image

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.server import ServerBackend
from ares.backends.wire import proxy_for
from ares.errors import UserError
from tests.backends import stub as stubs
from tests.backends.scenes import backend_of, outcomes, questions, request
from tests.backends.stub import Answer, Stub, said, slow, status

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def stub():
    with Stub() as stub:
        yield stub


def only(results):
    """The one outcome."""
    ((_, outcome),) = results
    return outcome


# What is sent


def test_what_is_always_sent(stub):
    outcomes(backend_of(stub), [request("2 + 3", seed=7, temperature=0.6)])
    (asked,) = stub.requests
    assert asked.path == "/v1/chat/completions"
    assert asked.body == {
        "model": "stub",
        "messages": [{"role": "user", "content": "2 + 3"}],
        "max_tokens": 50,
        "temperature": 0.6,
        "top_p": 1.0,
        "seed": 7,
    }
    assert "authorization" not in asked.headers


def test_what_is_sent_when_set(stub):
    options = {"top_p": 0.9, "top_k": 5, "top_logprobs": 20, "stop": ("END",)}
    outcomes(backend_of(stub), [request("q", **options)])
    body = stub.requests[0].body
    assert {name: body[name] for name in options} == {**options, "stop": ["END"]}
    assert body["logprobs"] is True


def test_further_fields_win_and_none_takes_out(stub):
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": None, "seed": 3}
    outcomes(backend_of(stub, extra_body=extra), [request("q")])
    body = stub.requests[0].body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "temperature" not in body and body["seed"] == 3


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_pictures_arrive_pixel_by_pixel_in_their_places(stub, mode):
    picture = Image.linear_gradient("L").resize((40, 30)).convert("RGB").convert(mode)
    parts = [{"type": "text", "text": "left"}, {"type": "image", "image": picture},
             {"type": "text", "text": "right"}]  # fmt: skip
    asked = Request("r", [{"role": "user", "content": parts}], Decoding(5))
    assert isinstance(only(backend_of(stub).generate([asked])), Response)
    sent = stub.requests[0].body["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url", "text"]
    head, data = sent[1]["image_url"]["url"].split(",")
    assert head == "data:image/png;base64"
    arrived = Image.open(io.BytesIO(base64.b64decode(data)))
    shown = picture if mode in ("L", "RGB", "RGBA") else picture.convert("RGB")
    assert (arrived.mode, arrived.tobytes()) == (shown.mode, shown.tobytes())


def test_more_log_probabilities_than_servers_give_are_refused(stub):
    with pytest.raises(UserError, match="top_logprobs 21: a server gives 20 at most"):
        outcomes(backend_of(stub), [request("q", top_logprobs=21)])
    assert not stub.asked


# What comes back


def test_a_response_is_read_whole(stub):
    stub.answer = lambda body: Answer("the answer is 5", reasoning="2 + 3")
    response = only(backend_of(stub).generate([request("q", top_logprobs=2)]))
    assert (response.text, response.reasoning) == ("the answer is 5", "2 + 3")
    assert (response.finish, response.prompt_tokens, response.tokens) == ("stop", 7, 4)
    assert response.full_text == "<think> 2 + 3 </think> the answer is 5"
    assert [record["token"] for record in response.logprobs] == ["the", " answer", " is", " 5"]
    assert [set(record) for record in response.logprobs] == [
        {"token", "logprob", "top_logprobs"}
    ] * 4
    assert [one["token"] for one in response.logprobs[3]["top_logprobs"]] == [" 5", " 51"]
    assert response.entropy is None


def test_a_response_that_is_cut_says_so(stub):
    response = only(backend_of(stub).generate([request("q", max_tokens=2)]))
    assert (response.text, response.finish, response.tokens) == ("answer to", "length", 2)


def test_no_log_probabilities_unless_asked(stub):
    assert only(backend_of(stub).generate([request("q")])).logprobs is None


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_both_names_of_the_reasoning(stub, name):
    stub.answer = lambda body: Answer("5", reasoning="2 + 3", reasoning_field=name)
    assert only(backend_of(stub).generate([request("q")])).reasoning == "2 + 3"


def test_a_model_that_only_reasoned_has_no_text(stub):
    stub.answer = lambda body: Answer("", reasoning="and so on", finish="length")
    response = only(backend_of(stub).generate([request("q")]))
    assert (response.text, response.reasoning, response.finish) == ("", "and so on", "length")


def test_top_tokens_are_sorted_since_vllm_puts_the_sampled_one_first(stub):
    top = [{"token": "c", "logprob": -3.0}, {"token": "a", "logprob": -0.1, "bytes": [97]},
           {"token": "b", "logprob": -2.5}]  # fmt: skip
    record = {"token": "c", "logprob": -3.0, "bytes": [99], "top_logprobs": top}
    choice = {"message": {"content": "c"}, "finish_reason": "stop",
              "logprobs": {"content": [record]}}  # fmt: skip
    stub.trouble = lambda body, time: said(json.dumps({"choices": [choice]}))
    assert only(backend_of(stub).generate([request("q", top_logprobs=3)])).logprobs == [
        {"token": "c", "logprob": -3.0, "top_logprobs": [
            {"token": "a", "logprob": -0.1},
            {"token": "b", "logprob": -2.5},
            {"token": "c", "logprob": -3.0},
        ]}
    ]  # fmt: skip


def test_half_a_surrogate_pair_can_be_written_to_a_file(stub):
    stub.trouble = lambda body, time: said(
        '{"choices": [{"message": {"content": "a \\ud83d b \\ud83d\\ude00"}}]}'
    )
    text = only(backend_of(stub).generate([request("q")])).text
    assert text == "a ? b 😀"


# Trouble

TROUBLES = {
    "429": (status(429), "HTTP 429 Said: oops"),
    "408": (status(408), "HTTP 408"),
    "409": (status(409), "HTTP 409"),
    "500": (status(500), "HTTP 500"),
    "503": (said("<h1>busy</h1>", 503), "HTTP 503 Said: <h1>busy</h1>"),
    "garbage": (stubs.GARBAGE, "no chat completion"),
    "another shape": (stubs.SHAPE, "no chat completion"),
    "an error as a success": (said('{"error": {"message": "no GPU"}}'), "completion: no GPU"),
    "deep nonsense": (said("[" * 100_000), "no chat completion"),
    "web page": (stubs.WEB_PAGE, "no chat completion: <html>Welcome"),
    "cut": (stubs.CUT, "the connection broke"),
    "cut chunks": (stubs.CUT_CHUNKS, "the connection broke"),
    "nothing": (stubs.NOTHING, "the connection broke"),
    "not http": (stubs.NOT_HTTP, "the connection broke"),
    "reset": (stubs.RESET, "the connection broke"),
    "hang": (stubs.HANG, r"no answer within 0\.4 s"),
    "hang midway": (stubs.HANG_MIDWAY, r"no answer within 0\.4 s"),
    "slow": (slow(1.0), r"no answer within 0\.4 s"),
    "huge": (stubs.HUGE, "a reply of more than 1074176 bytes"),
}


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_that_passes_is_outlived(stub, trouble, reason):
    stub.trouble = lambda body, time: trouble if time < 3 else None
    # Only what has to time out may: on a busy machine an answer can take its time.
    patience = 0.4 if "within" in reason else 5.0
    found = outcomes(backend_of(stub, timeout_s=patience, parallel=2), questions(2))
    assert {name: outcome.text for name, outcome in found.items()} == {
        "q0": "answer to q0#1",
        "q1": "answer to q1#1",
    }
    assert stub.asked == {"q0#1": 3, "q1#1": 3}


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_that_stays_is_that_request_s_own(stub, trouble, reason):
    stub.trouble = lambda body, time: trouble if stubs.name_of(body) == "q3#1" else None
    patience = 0.4 if "within" in reason else 5.0
    found = outcomes(backend_of(stub, timeout_s=patience), questions(12))
    failure = found.pop("q3")
    assert isinstance(failure, Failure) and failure.attempts == 3
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(failure.reason)
    assert len(found) == 11 and all(isinstance(o, Response) for o in found.values())
    assert stub.asked["q3#1"] == 3 and stub.asked.total() == 14


@pytest.mark.parametrize("code", [302, 400, 405, 413, 422])
def test_a_refusal_of_a_request_is_final_and_in_the_server_s_words(stub, code):
    refusal = status(code, "maximum context length is 4096 tokens")
    stub.trouble = lambda body, time: refusal if stubs.name_of(body) == "q1#1" else None
    found = outcomes(backend_of(stub), questions(5))
    assert found.pop("q1") == Failure(
        f"HTTP {code} Said: maximum context length is 4096 tokens", attempts=1
    )
    assert len(found) == 4 and all(isinstance(o, Response) for o in found.values())
    assert stub.asked["q1#1"] == 1


def test_a_long_message_is_cut(stub):
    stub.trouble = lambda body, time: status(400, "too\nlong " * 1000)
    reason = only(backend_of(stub).generate([request("q")])).reason
    assert reason.startswith("HTTP 400 Said: too long too long") and len(reason) < 330


def test_waits_double_up_to_a_minute(stub, monkeypatch):
    waits: list[float] = []

    async def note(client, seconds):
        waits.append(seconds)

    monkeypatch.setattr("ares.backends.client.Client._pause", note)
    monkeypatch.setattr("ares.backends.client.random.uniform", lambda low, high: high)
    stub.trouble = lambda body, time: status(500)
    outcomes(backend_of(stub, wait_s=8.0, attempts=6), [request("q")])
    assert waits == [10.0, 20.0, 40.0, 75.0, 75.0]


def test_everyone_waits_when_the_server_asks_for_it(stub):
    times: list[float] = []

    def trouble(body, time_):
        times.append(time.monotonic())
        return status(429, retry_after="1.5") if len(times) == 8 else None

    stub.trouble, stub.delay_s = trouble, 0.02
    found = outcomes(backend_of(stub, parallel=3), questions(30))
    assert all(isinstance(o, Response) for o in found.values()) and len(times) == 31
    # Those on their way arrive all the same, the others after the silence.
    assert sum(at - times[7] > 1.4 for at in times) >= 20
    assert not any(0.7 < at - times[7] < 1.4 for at in times)


def test_a_wait_beyond_patience_ends_the_run(stub):
    stub.trouble = lambda body, time: status(429, "quota", retry_after="3600")
    with pytest.raises(UserError, match="asks to be left alone for 3600 s"):
        outcomes(backend_of(stub), questions(3))


# Nothing can be asked


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_ends_the_run_without_being_told(stub, monkeypatch, code):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub.trouble = lambda body, time: status(code, f"bad key {KEY}")
    with pytest.raises(
        UserError, match=f"HTTP {code}; the API key in OPENAI_API_KEY is refused"
    ) as e:
        outcomes(backend_of(stub), questions(50))
    assert "secret" not in str(e.value)
    assert stub.asked.total() <= 4


def test_a_missing_key_is_told(stub):
    stub.api_key = KEY
    with pytest.raises(UserError, match="the API key in OTHER_KEY is not set"):
        outcomes(backend_of(stub, key_variable="OTHER_KEY"), questions(1))


def test_the_right_key_opens(stub, monkeypatch):
    monkeypatch.setenv("OTHER_KEY", f" {KEY}\n")
    stub.api_key = KEY
    found = outcomes(backend_of(stub, key_variable="OTHER_KEY"), questions(1))
    assert isinstance(found["q0"], Response)


def test_a_key_of_several_lines_is_refused_unseen(stub, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX-Other: 1")
    with pytest.raises(UserError, match="an API key is one line") as e:
        outcomes(backend_of(stub), questions(1))
    assert "secret" not in str(e.value)


def test_an_unknown_model_ends_the_run(stub):
    stub.trouble = lambda body, time: status(404, "The model `stub` does not exist.")
    with pytest.raises(UserError, match=r"`stub` does not exist\.; no such model there, or"):
        outcomes(backend_of(stub), questions(50))
    assert stub.asked.total() <= 4


def test_what_is_under_way_is_kept_when_the_run_ends(stub):
    def trouble(body, time):
        return status(404) if stubs.name_of(body) == "q3#1" else slow(0.3)

    stub.trouble = trouble
    found = []
    with pytest.raises(UserError, match="HTTP 404"):
        for asked, outcome in backend_of(stub).generate(questions(50)):
            found.append((asked.id, outcome.text))
    assert sorted(found) == [(f"q{i}", f"answer to q{i}#1") for i in range(3)]
    assert stub.asked.total() == 4


def test_no_server_is_told_soon():
    backend = ServerBackend("http://127.0.0.1:9/v1", "m", wait_s=0.05, attempts=100)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/v1, model m: no connection.*running"):
        outcomes(backend, questions(200))
    assert time.monotonic() - start < 5


def test_a_server_that_dies_leaves_failures_and_an_end():
    with Stub(delay_s=0.02) as stub:
        found: list[Response | Failure] = []
        with pytest.raises(UserError, match="8 requests in a row came to nothing") as e:
            for _, outcome in backend_of(stub, parallel=2).generate(questions(10_000)):
                found.append(outcome)
                if len(found) == 5:
                    stub.stop()
        assert "run again" in str(e.value)
    failures = [outcome for outcome in found if isinstance(outcome, Failure)]
    assert len(found) - len(failures) >= 5 and len(failures) == 7
    assert {failure.attempts for failure in failures} == {3}


def test_a_server_that_refuses_everything_ends_the_run(stub):
    stub.trouble = lambda body, time: status(400, "top_k is not permitted")
    with pytest.raises(UserError, match=r"8 requests in a row.*top_k is not permitted"):
        outcomes(backend_of(stub), questions(1000))
    assert stub.asked.total() < 20


def test_a_server_that_hangs_ends_the_run_before_all_attempts_are_made(stub):
    stub.trouble = lambda body, time: None if stubs.name_of(body) == "q0#1" else stubs.HANG
    with pytest.raises(UserError, match=r"no answer within 0\.3 s, 16 times in a row"):
        outcomes(backend_of(stub, timeout_s=0.3, parallel=4, attempts=50), questions(1000))
    assert stub.asked.total() < 30


def test_refusals_after_an_answer_are_the_requests_own(stub):
    stub.trouble = lambda body, time: None if stubs.name_of(body) == "q0#1" else status(400)
    found = outcomes(backend_of(stub, parallel=1), questions(30))
    assert sum(isinstance(outcome, Failure) for outcome in found.values()) == 29


# Order, bounds, ends


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


def test_results_come_as_they_end(stub):
    stub.trouble = lambda body, time: slow(0.5) if stubs.name_of(body) == "q0#1" else None
    order = [asked.id for asked, _ in backend_of(stub).generate(questions(20))]
    assert order[-1] == "q0" and set(order) == {f"q{i}" for i in range(20)}


def test_the_server_is_busy_while_the_caller_is(stub):
    results = backend_of(stub, parallel=3).generate(questions(20))
    next(results)
    time.sleep(0.5)
    assert 4 <= stub.answered.total() <= 7  # 6 under way or waiting, and the one taken
    assert len(list(results)) == 19


def threads() -> list[str]:
    return sorted(t.name for t in threading.enumerate() if t.name != "stub")


def test_closing_early_leaves_nothing_behind(stub):
    before = threads()
    stub.trouble = lambda body, time: None if stubs.name_of(body) == "q0#1" else stubs.HANG
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = backend_of(stub, timeout_s=60.0).generate(questions(100))
        next(results)
        start = time.monotonic()
        results.close()
        gc.collect()
    assert time.monotonic() - start < 20  # far below the time limit of a request
    assert threads() == before
    assert stub.asked.total() <= 9


def test_an_error_of_the_caller_s_requests_is_the_caller_s(stub):
    def requests():
        yield from questions(3)
        raise LookupError("no such picture")

    before = threads()
    with pytest.raises(LookupError, match="no such picture"):
        outcomes(backend_of(stub), requests())
    assert threads() == before


def test_nothing_asked_nothing_started():
    before = threads()
    assert list(ServerBackend("http://127.0.0.1:9/v1", "m").generate([])) == []
    assert threads() == before


def test_it_works_where_a_loop_is_running_as_in_a_notebook(stub):
    async def cell():
        return outcomes(backend_of(stub), questions(3))

    assert len(asyncio.run(cell())) == 3


# Identity, addresses, secrets


def test_identity_is_the_model_and_not_the_address():
    backend = ServerBackend("http://a:1/v1", "m", extra_body={"x": 1}, revision="r")
    assert backend.identity() == {
        "kind": "server", "model": "m", "revision": "r", "extra_body": {"x": 1},
    }  # fmt: skip
    assert (
        ServerBackend("http://b:2/v1", "m").identity()
        == ServerBackend("http://c:3/v1", "m", parallel=1, attempts=2, key_variable="K").identity()
    )


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "",
        "http://h:99999/v1",
    ],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UserError, match="is no address of a server"):
        ServerBackend(url, "m")


@pytest.mark.parametrize(
    "url",
    ["http://me:sk-secret@host/v1", "http://sk-secret@host/v1", "http://host/v1?api_key=sk-secret"],
)
def test_an_address_that_holds_a_secret_is_refused_without_telling_it(url):
    with pytest.raises(UserError, match="an API key belongs into an environment variable") as e:
        ServerBackend(url, "m")
    assert "secret" not in str(e.value)


@pytest.mark.parametrize("key", [KEY, "correct-horse-secret-battery"])
@pytest.mark.parametrize(
    "trouble",
    [
        lambda key: status(400, f"you sent {key}"),
        lambda key: status(500, f"Authorization: Bearer {key}"),
        lambda key: said(f"<html>{'x' * 280}{key}"),
        lambda key: said(f"{'y' * 1990}{key}"),
        lambda key: stubs.Trouble(f"HTTP/1.1 500 {key}\r\nContent-Length: 0\r\n\r\n".encode()),
        lambda key: stubs.Trouble(f"{key} is not HTTP\r\n".encode(), end="close"),
    ],
    ids=["refused", "fault", "garbage", "long garbage", "reason phrase", "status line"],
)
def test_a_server_that_repeats_the_key_is_not_quoted(stub, monkeypatch, trouble, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    stub.trouble = lambda body, time: trouble(key)
    backend = backend_of(stub)
    failure = only(backend.generate([request("q")]))
    assert isinstance(failure, Failure)
    assert "secret" not in failure.reason + repr(backend) + json.dumps(backend.identity())
    assert stub.requests[0].headers["authorization"] == f"Bearer {key}"


def test_what_only_looks_like_a_key_is_not_quoted_either(stub):
    stub.trouble = lambda body, time: status(400, "key sk-proj-abc123 or Bearer 4711 expired")
    reason = only(backend_of(stub).generate([request("q")])).reason
    assert reason == "HTTP 400 Said: key [key] or Bearer [key] expired"


def test_the_proxy_is_the_environment_s(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert proxy_for("http://model.example.com/v1") == "http://proxy:3128"
    assert proxy_for("http://127.0.0.1:8000/v1") is None
