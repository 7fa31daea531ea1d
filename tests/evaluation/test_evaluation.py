"""Whole evaluations by `ares benchmark`, through a real HTTP server on this machine; their bar."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ares.cli import main
from ares.io import read_table
from tests.backends.stub import GARBAGE, HANG, Stub, status
from tests.evaluation import standins

#: Sums that the shipped model can do.
SUMS = [(9, 22), (8, 21), (4, 16), (7, 13), (12, 5), (6, 17)]
#: Which column of the rows holds the gold answer of a type.
GOLD = {"number": "total", "text": "steps"}
KINDS = [f"own-{kind}" for kind in GOLD]


def write_benchmarks(folder: Path) -> Path:
    """A registry with a benchmark for each of the types, all of the same questions."""
    rows = [
        {
            "id": f"q{place}",
            "question": f"numbers {a} {b} target {a + b}",
            "total": str(a + b),
            "steps": f"{a} + {b} = {a + b}",
        }
        for place, (a, b) in enumerate(SUMS)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    entries = {
        f"own-{kind}": {
            "path": "rows.jsonl",
            "columns": {"id": "id", "question": "question", "answer": column},
            "answer": kind,
            "prompt": "{question}",
        }
        for kind, column in GOLD.items()
    }
    registry = folder / "own.yaml"
    registry.write_text(yaml.safe_dump({"benchmarks": entries}))
    return registry


def command(folder: Path, registry: Path, names: list[str], *options: str) -> list[str]:
    """The arguments of an evaluation that writes into `folder`."""
    folder.mkdir(exist_ok=True)
    return [
        *("benchmark", "--registry", str(registry), *names),
        *("--max-tokens", "200", "--store", str(folder / "store.sqlite")),
        *("--scores-out", str(folder / "scores.csv")),
        *("--responses-out", str(folder / "responses.parquet")),
        *("--traces-out", str(folder / "traces.jsonl"), *options),
    ]


def at(server: Stub) -> tuple[str, ...]:
    return ("--backend", "server", "--url", server.url, "--model", "stub", "--wait", "0.01")


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[dict]]:
    lines = (folder / "traces.jsonl").read_text().splitlines()
    return (
        read_table(folder / "scores.csv"),
        read_table(folder / "responses.parquet"),
        [json.loads(line) for line in lines],
    )


def test_a_model_in_this_process_is_asked_graded_and_its_entropies_are_exact(tmp_path):
    options = ("--temperature", "0", "--top-logprobs", "5", "--backend", "transformers")
    arguments = command(tmp_path, write_benchmarks(tmp_path), KINDS, *options)
    assert main([*arguments, "--model", "data/base"]) == 0
    scores, responses, traces = tables(tmp_path)
    assert scores["benchmark"].tolist() == KINDS
    assert (scores["n_items"] == 6).all() and (scores["failed"] == 0).all()
    assert len(responses) == len(traces) == 12
    assert responses["correct"].any() and set(responses["status"]) <= {"right", "wrong"}
    lengths = [len(t["logprobs"]["content"]) for t in traces]
    assert responses["n_tokens"].tolist() == [len(t["entropy"]) for t in traces] == lengths


def test_the_paper_s_benchmarks_are_asked_and_scored_by_their_own_metric(tmp_path, capsys):
    names = ["AIME24", "DynaMath-W", "WeMath-S", "GPQA", "BBEH"]
    overlay = tmp_path / "local.yaml"
    entries = {
        f"{name}-here": {"like": name, "path": str(standins.write(name, tmp_path))}
        for name in names
    }
    overlay.write_text(yaml.safe_dump({"benchmarks": entries}))
    with Stub(lambda body: r"<think> well </think> \boxed{A}") as server:
        arguments = command(tmp_path / "out", overlay, list(entries), *at(server))
        assert main(arguments) == 0
    scores, responses, _ = tables(tmp_path / "out")
    by_name = scores.groupby("benchmark").first()
    assert by_name.loc["AIME24-here", "metric"] == "average@16"
    assert by_name.loc["DynaMath-W-here", "n_items"] > by_name.loc["DynaMath-W-here", "n_groups"]
    aime = responses[responses["benchmark"] == "AIME24-here"]
    assert aime.groupby("id")["sample"].nunique().eq(16).all()
    assert "average@16" in capsys.readouterr().out


def test_a_killed_evaluation_goes_on_without_a_lost_or_repeated_request(tmp_path):
    registry = write_benchmarks(tmp_path)
    parallel, names = 4, ["own-number", "own-text"]
    many = ("--samples", "30", "--parallel", str(parallel))
    with Stub(lambda body: r"\boxed{31}", delay_s=0.05) as server:
        arguments = command(tmp_path / "killed", registry, names, *at(server), *many)
        process = subprocess.Popen(
            [sys.executable, "-m", "ares", *arguments], start_new_session=True
        )
        until = time.monotonic() + 120
        while server.answered.total() < 100:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = server.answered.copy()
        assert not (tmp_path / "killed/scores.csv").exists()
        assert not (tmp_path / "killed/traces.jsonl").exists()
        assert 100 <= before.total() < 360, "it was killed in the middle"

        assert main(arguments) == 0
        assert server.asked.total() <= 360 + 2 * parallel, "all but those under way come once"
        assert sum(server.answered.values()) >= 360 and len(server.answered) == 360
        again = server.asked.total()
        assert main(arguments) == 0
        assert server.asked.total() == again, "a third run asks nothing"
        undisturbed = command(tmp_path / "whole", registry, names, *at(server), *many)
        assert main(undisturbed) == 0
    for name in ("scores.csv", "responses.parquet", "traces.jsonl"):
        killed, whole = (tmp_path / folder / name for folder in ("killed", "whole"))
        assert killed.read_bytes() == whole.read_bytes(), name


def test_what_fails_is_listed_counts_as_not_right_and_is_asked_again(tmp_path, capsys):
    registry = write_benchmarks(tmp_path)
    texts = [f"numbers {a} {b} target {a + b}" for a, b in SUMS]
    ways = {1: status(500), 2: GARBAGE, 4: HANG, 5: status(400, "prompt too long")}

    def trouble(body, time):
        place = texts.index(body["messages"][-1]["content"])
        return None if place == 1 and time > 2 else ways.get(place)

    options = ("--attempts", "3", "--timeout", "0.5")
    with Stub(lambda body: r"\boxed{31}", trouble=trouble) as server:
        arguments = command(tmp_path / "out", registry, ["own-number"], *at(server), *options)
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert "3 of 6 requests have no response" in said.err
        assert all(f"failed: own-number/q{place}#0" in said.out for place in (2, 4, 5))
        scores, responses, traces = tables(tmp_path / "out")
        statuses = ["right", "wrong", "failed", "wrong", "failed", "failed"]
        assert responses["status"].tolist() == statuses
        assert scores["failed"].tolist() == [3]
        assert scores["score"].tolist() == pytest.approx([100 / 6], abs=1e-3)
        assert [line["id"] for line in traces] == ["q0", "q1", "q3"]
        assert "prompt too long" in responses["failure"][5]
        asked = {name.partition("#")[0]: times for name, times in server.asked.items()}
        assert [asked[text] for text in texts] == [1, 3, 3, 1, 3, 1]
        assert main([*arguments, "--max-failures", "3"]) == 0, "failures can be allowed"
        # The same command again asks for what is missing, and for nothing else.
        ways.clear()
        before = server.asked.total()
        assert main(arguments) == 0
        assert server.asked.total() == before + 3
    assert tables(tmp_path / "out")[1]["status"].tolist() == ["right", *["wrong"] * 5]


def test_a_judge_settles_what_rules_cannot(tmp_path):
    registry = write_benchmarks(tmp_path)
    with (
        Stub(lambda body: r"\boxed{the sum, of course}") as server,
        Stub(lambda body: "right") as judge,
    ):
        judged = ("--judge", "judge", "--judge-url", judge.url)
        arguments = command(tmp_path / "out", registry, ["own-text"], *at(server), *judged)
        assert main(arguments) == 0
        assert judge.asked.total() == 6
        assert main(arguments) == 0
        assert judge.asked.total() == 6, "verdicts are kept"
    responses = tables(tmp_path / "out")[1]
    assert set(zip(responses["status"], responses["by"], strict=True)) == {("right", "judge")}


def test_a_dry_run_counts_and_asks_nothing(tmp_path, capsys):
    registry = write_benchmarks(tmp_path)
    with Stub(lambda body: r"\boxed{31}") as server:
        arguments = command(tmp_path / "out", registry, ["own-number"], *at(server))
        dry = [*arguments, "--samples", "3", "--dry-run", "--tokenizer", "data/base"]
        assert main(dry) == 0
        assert server.asked.total() == 0
        # "<|im_start|> user numbers 9 22 target 31 <|im_end|> <|im_start|> assistant": 10 tokens.
        (line,) = [x for x in capsys.readouterr().out.splitlines() if "own-number" in x]
        assert line.split() == ["own-number", "6", "3", "18", "180", "3600"]
        assert main([*arguments, "--samples", "1"]) == 0
        capsys.readouterr()
        assert main(dry) == 0
        out = capsys.readouterr().out
        assert "12 requests to ask, 6 answers are in" in out
        assert server.asked.total() == 6
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["own-nubmer"], "unknown benchmark 'own-nubmer'; did you mean"),
        (["own-number", "--backend", "server"], "--url and --backend server"),
        (["own-number", "--judge", "x"], "--judge and --judge-url belong together"),
        ([], "name benchmarks and a --model"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capsys, options, told):
    registry = write_benchmarks(tmp_path)
    given = ["--model", "data/base", "--store", str(tmp_path / "store.sqlite"), *options]
    if "--backend" not in given:
        given += ["--backend", "transformers"]
    assert main(["benchmark", "--registry", str(registry), *given]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("ares: error: ") and told in error


def test_the_list_shows_the_paper_s_benchmarks_and_one_s_own(tmp_path, capsys):
    assert main(["benchmark", "--list", "--registry", str(write_benchmarks(tmp_path))]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(names) == len(set(names))
    assert {"MathVerse-V", "AIME25", "GPQA", "GSM8K", *KINDS} <= set(names)


@pytest.mark.parametrize("looks", [True, False])
def test_it_tells_requests_tokens_and_failures_on_a_terminal_alone(tmp_path, monkeypatch, looks):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: looks, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    registry = write_benchmarks(tmp_path)
    fails = "numbers 7 13 target 20"
    with Stub(
        trouble=lambda body, _: status(400) if body["messages"][-1]["content"] == fails else None
    ) as server:
        main(command(tmp_path / "out", registry, ["own-number"], *at(server)))
    bar = stream.getvalue().split("\r")[-1]
    for told in ("own-number: 100%", "6/6", " tokens, 1 failed"):
        assert (told in bar) == looks


def test_responses_that_are_there_are_graded_line_by_line(tmp_path, capsys):
    file = tmp_path / "responses.jsonl"
    standins._jsonl(
        file,
        [
            {"id": 7, "response": r"so \boxed{3.1}", "gold": 3, "type": "number", "tolerance": 0.2},
            {"response": "(B)", "gold": "A", "type": "choice", "choices": ["x", "y"], "more": 1},
            {"response": "no idea", "gold": "5", "type": "number", "accepted": ["6"]},
        ],
    )
    assert main(["grade", str(file)]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["id"], row["status"]) for row in said] == [
        ("7", "right"), ("2", "wrong"), ("3", "no answer"),
    ]  # fmt: skip
    for line, told in (
        ({"gold": "1", "type": "number"}, "line 1: has no 'response'"),
        ({"response": "1", "gold": "1", "type": "numbr"}, "line 1: type: Input should be"),
    ):
        standins._jsonl(file, [line])
        assert main(["grade", str(file)]) == 2
        assert told in capsys.readouterr().err
