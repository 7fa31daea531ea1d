"""The evaluation against vLLM's OpenAI-compatible server, and the same evaluation offline.

The evaluation runs as a user runs it: the command `ares benchmark`, in the environment of the
compendium (.venv), which has no vLLM; offline in this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.server import ServerBackend
from ares.backends.vllm import VllmBackend
from ares.paths import ROOT
from tests.vllm.serving import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Largest difference in log-probability that is agreement, in nats.
TOLERANCE = 1e-4
LENGTH = 256
QUESTIONS = [("what is the sum of three and four?", "7"), ("9 * 8 = ?", "72"), ("56 - 31", "25")]
CLIENT = ROOT / ".venv" / "bin" / "python"


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """The address of a server of the tiny model."""
    with serving(model, "tiny", LENGTH, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    rows = [{"id": f"q{n}", "question": q, "answer": a} for n, (q, a) in enumerate(QUESTIONS)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "own.yaml").write_text(
        """benchmarks:
  Sums:
    path: sums.jsonl
    columns: {id: id, question: question, answer: answer}
    answer: number
    prompt: "{question} think step by step"
"""
    )
    return folder / "own.yaml"


def evaluate(python: Path, out: Path, registry: Path, *model: str) -> tuple[pd.DataFrame, list]:
    """Run the evaluation of the whole benchmark; the table of responses and the traces."""
    command = [
        *(str(python), "-m", "ares", "benchmark", "Sums"),
        *("--registry", str(registry), *model),
        *("--temperature", "0", "--max-tokens", "40", "--top-logprobs", "20"),
        *("--store", str(out / "store.sqlite"), "--scores-out", str(out / "scores.csv")),
        *("--responses-out", str(out / "responses.csv")),
        *("--traces-out", str(out / "traces.jsonl")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Sums" in done.stdout
    lines = (out / "traces.jsonl").read_text().splitlines()
    return pd.read_csv(out / "responses.csv"), [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def served(server, registry, tmp_path_factory):
    """The evaluation through the server."""
    out = tmp_path_factory.mktemp("served")
    backend = ("--backend", "server", "--url", server, "--model", "tiny")
    return evaluate(CLIENT, out, registry, *backend)


@pytest.fixture(scope="module")
def offline(served, model, registry, tmp_path_factory):
    """The evaluation with the model in the same process."""
    out = tmp_path_factory.mktemp("offline")
    backend = ("--backend", "vllm", "--model", str(model), "--dtype", "float32")
    return evaluate(Path(sys.executable), out, registry, *backend, "--max-model-len", str(LENGTH))


def test_every_question_is_answered_and_graded(served):
    responses, traces = served
    assert responses["id"].tolist() == ["q0", "q1", "q2"]
    assert set(responses["status"]) <= {"right", "wrong", "no answer"}
    assert responses["n_tokens"].between(1, 40).all()
    assert [trace["text"] != "" for trace in traces] == [True] * 3


def test_the_servers_records_agree_with_transformers(served, reference):
    _, traces = served
    for trace in traces:
        records = trace["logprobs"]["content"]
        assert len(records) == trace["n_tokens"]
        assert reference.worst_difference(trace["prompt"], records, listed=20) < TOLERANCE
        ids = reference.ids(records)
        assert ids == reference.logprobs(trace["prompt"], ids).argmax(-1).tolist()


def test_offline_gives_what_the_server_gives(served, offline):
    for ours, theirs in zip(offline[1], served[1], strict=True):
        for name in ("id", "text", "finish", "n_tokens", "status"):
            assert ours[name] == theirs[name]
        for mine, other in zip(
            ours["logprobs"]["content"], theirs["logprobs"]["content"], strict=True
        ):
            assert mine["token"] == other["token"]
            assert mine["logprob"] == pytest.approx(other["logprob"], abs=TOLERANCE)


def test_drawn_responses_are_the_same_both_ways(server, model):
    # The same seed draws the same response, through the server and in this process.
    decoding = Decoding(max_tokens=40, temperature=0.8, top_p=0.95, top_logprobs=20)
    asked = [
        Request(str(seed), [{"role": "user", "content": "9 * 8 = ?"}], decoding, seed)
        for seed in range(6)
    ]
    here = VllmBackend(str(model), dtype="float32", max_model_len=LENGTH)
    found = [
        {request.id: outcome for request, outcome in backend.generate(asked)}
        for backend in (ServerBackend(server, "tiny"), here)
    ]
    assert all(isinstance(it, Response) for it in found[0].values())
    texts = [{name: outcome.text for name, outcome in answers.items()} for answers in found]
    assert texts[0] == texts[1]
    assert len(set(texts[0].values())) == 6


def test_a_prompt_that_is_too_long_fails_alone_at_the_server_too(server):
    decoding = Decoding(max_tokens=8)
    asked = [
        Request(name, [{"role": "user", "content": "again " * times}], decoding)
        for name, times in (("short", 1), ("long", 300), ("another", 2))
    ]
    found = {
        request.id: outcome for request, outcome in ServerBackend(server, "tiny").generate(asked)
    }
    assert isinstance(found["long"], Failure) and found["long"].attempts == 1
    assert isinstance(found["short"], Response) and isinstance(found["another"], Response)
