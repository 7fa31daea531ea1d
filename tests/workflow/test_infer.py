"""`ares infer`: one question to a model, read by a person, a pipe or `ares analyze`."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from ares.backends.base import Failure, Response
from ares.backends.local import LocalBackend
from ares.cli import main
from ares.cli.colours import coloured, colours_wanted, legend, table
from ares.cli.infer import _tokens
from ares.data.countdown import Problem
from ares.data.world import picture
from ares.errors import UserError, printable
from ares.paths import BASE_MODEL
from tests.backends.stub import Stub

NAN = float("nan")
QUESTION = "numbers 3 8 5 target 19"
ASK = ("infer", "--model", str(BASE_MODEL), "--device", "cpu", "--question", QUESTION)


def infer(capsys, *arguments: str) -> str:
    assert main([*ASK, *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments: str) -> str:
    assert main([*ASK, *arguments]) == 2
    return capsys.readouterr().err


def test_responses_are_printed_and_a_seed_brings_one_back(capsys) -> None:
    several = infer(capsys, "--samples", "3", "--max-tokens", "60").split("\n\n")
    assert [text.split(",")[0] for text in several[:3]] == ["[1 of 3", "[2 of 3", "[3 of 3"]
    assert all("nats, seed" in text and "<think>" in text for text in several[:3])
    (third,) = infer(capsys, "--seed", "2", "--max-tokens", "60").split("\n\n")[:1]
    assert third.splitlines()[1] == several[2].splitlines()[1]
    assert several[0].splitlines()[1] != third.splitlines()[1]


def test_a_picture_is_read_and_the_system_prompt_may_be_a_file(capsys, tmp_path, monkeypatch):
    cards, prompt = tmp_path / "cards.png", tmp_path / "prompt.txt"
    picture(Problem((3, 8, 5), 19), 0).save(cards)
    prompt.write_text("Think first.\n")
    asked = []
    generate = LocalBackend.generate

    def watch(self, requests):
        requests = list(requests)
        asked.extend(requests)
        return generate(self, requests)

    monkeypatch.setattr(LocalBackend, "generate", watch)
    drawn = ("--temperature", "0", "--question", "cards target 19", "--image", str(cards))
    text = infer(capsys, *drawn, "--prompt", str(prompt))
    assert "<think>" in text and "3" in text
    system, user = asked[0].messages
    assert system == {"role": "system", "content": "Think first."}
    assert [part["type"] for part in user["content"]] == ["image", "text"]
    assert infer(capsys, *drawn, "--prompt", "Think first.") == text
    infer(capsys, *drawn, "--max-pixels", "1000", "--max-tokens", "3")
    assert user["content"][0]["image"].size == (84, 28)
    assert asked[-1].messages[0]["content"][0]["image"].size == (54, 18)


def test_json_lines_are_traces_and_hold_no_raw_control_characters(capsys) -> None:
    lines = infer(capsys, "--json", "--samples", "2", "--max-tokens", "30").splitlines()
    first, second = map(json.loads, lines)
    assert first["id"] == second["id"] and (first["sample"], second["sample"]) == (0, 1)
    assert first["benchmark"] == "infer" and first["prompt"] == QUESTION
    assert first["correct"] is None and first["finish"] in ("stop", "length")
    records = first["logprobs"]["content"]
    assert first["n_tokens"] == len(records) == len(first["entropy"]) <= 30
    assert len(records[0]["top_logprobs"]) == 20
    assert lines[0].isascii()


def test_entropy_is_a_table_where_nothing_shows_colours(capsys, monkeypatch) -> None:
    shown = infer(capsys, "--entropy", "--window", "2", "--max-tokens", "4").splitlines()
    assert shown[1].split() == ["token", "entropy", "window", "text"]
    rows = [line.split(maxsplit=3) for line in shown[2:6]]
    assert [row[0] for row in rows] == ["0", "1", "2", "3"] and rows[0][3] == "'<think>'"
    values = [float(row[1]) for row in rows]
    assert float(rows[1][2]) == pytest.approx((values[1] + values[2]) / 2, abs=2e-3)
    assert rows[3][2] == "-"
    assert "\x1b" not in "".join(shown)
    colours = infer(capsys, "--entropy", "--color", "always", "--max-tokens", "4")
    assert colours.startswith("entropy, nats:  0 to 0.25 ") and ";48;5;" in colours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_need_a_terminal_and_no_word_against_them(monkeypatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert colours_wanted("auto", Terminal()) and not colours_wanted("auto", io.StringIO())
    assert colours_wanted("always", io.StringIO()) and not colours_wanted("never", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours_wanted("auto", Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not colours_wanted("auto", Terminal())


def test_every_class_has_its_ground_and_no_ground_spans_a_line() -> None:
    on, grounds = "\x1b[38;5;16;48;5;{}m", (229, 221, 208, 203)
    assert coloured(["a", "b"], [0.0, NAN]) == "ab"
    classes = "".join(f"{on.format(ground)}x\x1b[0m" for ground in grounds)
    assert coloured(["x"] * 4, [0.25, 0.5, 1.0, 9.0]) == classes
    assert coloured(["a\n\nb"], [1.5]) == f"{on.format(208)}a\x1b[0m\n\n{on.format(208)}b\x1b[0m"
    assert all(str(ground) in legend("entropy") for ground in grounds)


def test_what_a_model_writes_never_acts_on_the_terminal(capsys, monkeypatch) -> None:
    evil = "\x1b]0;owned\x07 \x9b31m a\rb \u202egnp.exe \x7f\x00"
    shown = printable(evil)
    assert shown == "\\x1b]0;owned\\x07 \\x9b31m a\\rb \\u202egnp.exe \\x7f\\x00"
    assert printable("fine\n\tüé≈🙂") == "fine\n\tüé≈🙂"
    record = {"token": evil, "logprob": -0.5, "top_logprobs": [{"token": evil, "logprob": -0.5}]}
    answer = Response(evil, tokens=1, logprobs=[record], entropy=[3.0])
    monkeypatch.setattr(
        LocalBackend, "generate", lambda self, requests: ((r, answer) for r in requests)
    )
    for arguments in ((), ("--entropy",), ("--json",), ("--entropy", "--color", "always")):
        out = infer(capsys, *arguments)
        if "always" in arguments:
            for code in ("\x1b[0m", *(f"\x1b[38;5;16;48;5;{n}m" for n in (229, 221, 208, 203))):
                out = out.replace(code, "")
        assert not set(out) & set("\x1b\x07\x9b\r\u202e\x7f\x00")
    assert list(table(["a\nb"], {"entropy": [1.0]}))[1] == "    0    1.000 'a\\nb'"


def test_entropies_of_a_server_are_estimated_and_say_so() -> None:
    half = -0.6931472

    def record(*names: str) -> dict:
        rivals = [{"token": name, "logprob": half} for name in names]
        return {"token": "a", "logprob": half, "top_logprobs": rivals}

    answer = Response("aa", logprobs=[record("a", "b"), record("a")])
    told, _, *rows = _tokens(answer, window=1, in_colour=False).splitlines()
    assert "estimated from the 1 most probable tokens" in told
    # One half is listed and one half is not: as one more token it makes ln 2 again.
    assert [row.split() for row in rows] == [["0", "0.693", "'a'"], ["1", "0.693", "'a'"]]
    with pytest.raises(UserError, match="--entropy: no log-probabilities"):
        _tokens(Response("aa"), window=1, in_colour=False)


def test_a_server_is_asked_for_its_top_log_probabilities(capsys) -> None:
    with Stub(lambda body: "two and three make five") as stub:
        ask = ("infer", "--url", stub.url, "--model", "some", "--question", "2 + 3?")
        assert main([*ask, "--prompt", "Be brief."]) == 0
        assert "two and three make five" in capsys.readouterr().out
        assert main([*ask, "--entropy", "--top-k", "5", "--max-tokens", "9"]) == 0
        assert "estimated from the 20 most probable tokens" in capsys.readouterr().out
        plain, told = (asked.body for asked in stub.requests)
    assert plain["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (plain["max_tokens"], told["max_tokens"]) == (8192, 9)
    assert "logprobs" not in plain and told["top_logprobs"] == 20 and told["top_k"] == 5


def test_a_failure_is_told_and_the_others_are_printed(capsys, monkeypatch) -> None:
    def generate(self, requests):
        first, second = requests
        yield first, Failure("no \x1b[31m luck", 3)
        yield second, Response("fine", tokens=1)

    monkeypatch.setattr(LocalBackend, "generate", generate)
    assert main([*ASK, "--samples", "2"]) == 2
    told = capsys.readouterr()
    assert "fine" in told.out and "response 1: no \\x1b[31m luck" in told.err
    assert "1 of 2 responses failed" in told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samples", "0"), "'--samples'"),
        (("--top-p", "0"), "top_p 0.0: it lies in (0, 1]"),
        (("--temperature", "nan"), "'--temperature'"),
        (("--window", "4"), "--window goes with --entropy"),
        (("--image", "none.png"), "none.png: no such picture"),
        (("--question", ""), "--question is empty"),
        (("--question", "what is <image 2>?", "--image", "CARDS"), "<image 2>"),
        (("--url", "http://127.0.0.1:9/v1", "--dtype", "float16"), "are the server's to choose"),
        (("--max-tokens", "2000"), "context holds 1024"),
    ],
)
def test_mistakes_are_told_in_one_line(capsys, tmp_path, arguments, message) -> None:
    cards = tmp_path / "cards.png"
    Image.new("RGB", (84, 28)).save(cards)
    told = refused(capsys, *(str(cards) if a == "CARDS" else a for a in arguments))
    assert message in told and "Traceback" not in told
