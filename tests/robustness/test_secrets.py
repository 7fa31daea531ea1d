"""An API key reaches no file and no message, whatever the server does with it."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path

import pytest
import yaml

from ares.backends.wire import redacted, without_key
from ares.cli import main
from ares.io import read_table
from tests.backends.stub import Answer, Stub, Trouble, http, name_of, said, status
from tests.coldstart import scenes

#: Of a form that no pattern for keys knows.
KEY = "correct-horse-battery-4711"
PASSWORD = "hunter2-hunter2"

REDIRECT = Trouble(
    http(302, KEY.encode(), {"Location": f"http://127.0.0.1:9/v1?key={KEY}", "X-Key": KEY})
)
TROUBLES = {
    "q0": status(500, f"your key {KEY} has no quota"),
    "q1": REDIRECT,
    "q2": said(f'{{"error": {{"message": "Bearer {KEY} is not allowed here"}}}}', 400),
    "q3": said(f"<html>{KEY}</html>"),
    "q4": Trouble(f"HTTP/1.1 400 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()),
    "q5": Trouble(f"{KEY} is no HTTP\r\n\r\n".encode(), end="close"),
}


def repeats(body) -> Answer:
    """An answer that quotes the key, as a server in debug mode may."""
    return Answer(rf"you said Authorization: Bearer {KEY}, \boxed{{5}}", reasoning=f"key {KEY}")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("http_proxy", "")


def everything(folder: Path) -> dict[str, bytes]:
    """All bytes that were written, those in the store unpacked."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in folder.rglob("*.sqlite"):
        rows = sqlite3.connect(path).execute("SELECT response FROM responses").fetchall()
        found |= {f"{path} {n}": zlib.decompress(blob) for n, (blob,) in enumerate(rows)}
    return found


def assert_nowhere(folder: Path, capfd, secrets=(KEY,)) -> str:
    """No secret is in a file or was printed; what was printed."""
    printed = "".join(capfd.readouterr())
    for place, data in {**everything(folder), "the output": printed.encode()}.items():
        assert not any(secret.encode() in data for secret in secrets), f"the key is in {place}"
    return printed


def benchmark(folder: Path, url: str, *options: str, answer: str = "number") -> list[str]:
    """An evaluation of nine questions, q0 to q8, with every kind of file that it can write."""
    rows = [{"id": f"q{n}", "question": f"q{n}", "answer": "5"} for n in range(9)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"path": "rows.jsonl", "columns": {name: name for name in rows[0]}, "answer": answer}
    own = {"benchmarks": {"own": {**entry, "prompt": "{question}"}}}
    (folder / "own.yaml").write_text(yaml.safe_dump(own))
    return [
        *("benchmark", "--registry", str(folder / "own.yaml"), "own"),
        *("--backend", "server", "--url", url, "--model", "stub", "--wait", "0.01"),
        *("--attempts", "2", "--max-tokens", "50", "--top-logprobs", "3"),
        *("--store", str(folder / "store.sqlite"), "--scores-out", str(folder / "scores.csv")),
        *("--responses-out", str(folder / "responses.parquet")),
        *("--traces-out", str(folder / "traces.jsonl"), "--max-failures", "9", *options),
    ]


def test_an_evaluation_writes_no_key(tmp_path, capfd):
    def trouble(body, time):
        return TROUBLES.get(name_of(body).partition("#")[0])

    with Stub(repeats, trouble, api_key=KEY) as server:
        assert main(benchmark(tmp_path, server.url)) == 0
        assert any(asked.headers["authorization"] == f"Bearer {KEY}" for asked in server.requests)
    told_by_us = assert_nowhere(tmp_path, capfd)
    assert "failed" in told_by_us or "without" in told_by_us
    traces = (tmp_path / "traces.jsonl").read_text()
    assert "[key]" in traces, "the answers that quote it are there"
    out = tmp_path / "analysis"
    assert main(["analyze", str(tmp_path / "traces.jsonl"), "--out", str(out)]) in (0, 2)
    assert_nowhere(tmp_path, capfd)


def test_a_judge_of_answers_leaves_no_key(tmp_path, capfd, monkeypatch):
    other = "battery-staple-0815"
    monkeypatch.setenv("JUDGE_KEY", other)
    with (
        Stub(lambda body: rf"so {KEY} it is \boxed{{the sum of them}}", api_key=KEY) as server,
        Stub(lambda body: f"your key is {other}", api_key=other) as judge,
    ):
        judged = ["--judge", "judge", "--judge-url", judge.url, "--judge-key-variable", "JUDGE_KEY"]
        assert main(benchmark(tmp_path, server.url, *judged, answer="text")) == 0
        assert judge.requests
        assert all(one.headers["authorization"] == f"Bearer {other}" for one in judge.requests)
    assert_nowhere(tmp_path, capfd, (KEY, other))


def test_a_teacher_of_the_cold_start_leaves_no_key(tmp_path, model_folder, capfd):
    asked = []

    def trouble(body, time):
        asked.append(body)
        return REDIRECT if len(asked) == 3 else None

    def answer(body):
        thought = KEY if len(asked) % 2 else "guess"
        return Answer(r"\boxed{ 3 + 2 = 5 }", reasoning=thought)

    with Stub(answer, trouble, api_key=KEY) as server:
        scale = scenes.taught(tmp_path, model_folder, server.url)
        for _ in range(2):
            scenes.asked(tmp_path, scale)
    assert len(asked) > 4, "the second run asks what the first did not get"
    # A thought that quoted the key is no word of this model's any more, and was left out.
    assert set(read_table(tmp_path / "pool.parquet")["text"]) == {
        "<think> guess </think> \\boxed{ 3 + 2 = 5 }"
    }
    assert_nowhere(tmp_path, capfd)


@pytest.mark.parametrize(
    ("code", "told"),
    [(401, "the API key in OPENAI_API_KEY is refused"), (403, "OPENAI_API_KEY"), (503, "HTTP 503")],
)
def test_an_end_of_an_evaluation_names_the_variable_of_a_refused_key_and_no_key(
    tmp_path, capfd, code, told
):
    with Stub(repeats, lambda body, time: status(code, f"key {KEY}")) as server:
        assert main(benchmark(tmp_path, server.url, "--max-failures", "0")) == 2
    said = assert_nowhere(tmp_path, capfd)
    assert told in said and "Traceback" not in said


# Those that are not tried again, which takes long.
@pytest.mark.parametrize("trouble", [None, *map(TROUBLES.get, ["q1", "q2", "q4"])])
def test_a_single_question_tells_no_key(tmp_path, capfd, trouble):
    with Stub(repeats, lambda body, time: trouble) as server:
        question = ["infer", "--question", "2 + 3?", "--url", server.url, "--model", "stub"]
        assert main(question) in (0, 2)
    assert "Traceback" not in assert_nowhere(tmp_path, capfd)


@pytest.mark.parametrize("address", ["me:{}@127.0.0.1:9/v1", "127.0.0.1:9/v1?key={}"])
def test_an_address_with_a_secret_is_refused_and_not_repeated(tmp_path, capfd, address):
    url = "http://" + address.format(PASSWORD)
    question = ["infer", "--question", "2", "--url", url, "--model", "stub"]
    for arguments in (benchmark(tmp_path, url), question):
        assert main(arguments) == 2
        assert "environment variable" in assert_nowhere(tmp_path, capfd, (PASSWORD,))


def test_the_password_of_a_proxy_is_not_told(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert main(benchmark(tmp_path, "http://example.invalid/v1", "--attempts", "1")) in (0, 2)
    assert_nowhere(tmp_path, capfd, (PASSWORD,))


def test_what_is_masked_and_that_messages_are_short():
    assert len(redacted("too\nlong " * 1000, "")) == 300
    assert redacted(f"see http://me:{PASSWORD}@proxy:1 and Bearer abc", "") == (
        "see http://[key]@proxy:1 and Bearer [key]"
    )
    assert without_key(b'{"a": "correct-horse"}', "correct-horse") == b'{"a": "[key]"}'
    assert without_key(b"a - b, EMPTY", "-") == b"a - b, EMPTY", "words that servers take as a key"
