"""vLLM's OpenAI-compatible server: an evaluation against it, and its responses beside our own.

The evaluation runs as a user runs it: the command `ares benchmark`, in the environment of the
compendium (.venv), which has no vLLM.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

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
def served(server, tmp_path_factory) -> tuple[pd.DataFrame, list[dict]]:
    """The evaluation of a benchmark through the server: the table of responses and the traces."""
    out = tmp_path_factory.mktemp("served")
    rows = [{"id": f"q{n}", "question": q, "answer": a} for n, (q, a) in enumerate(QUESTIONS)]
    (out / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"path": "sums.jsonl", "columns": {name: name for name in rows[0]}, "answer": "number"}
    entry["prompt"] = "{question} think step by step"
    (out / "own.yaml").write_text(json.dumps({"benchmarks": {"Sums": entry}}))
    command = [
        *(str(CLIENT), "-m", "ares", "benchmark", "Sums", "--registry", str(out / "own.yaml")),
        *("--backend", "server", "--url", server, "--model", "tiny"),
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


def test_every_question_is_answered_and_graded_and_records_agree_with_transformers(
    served, reference
):
    responses, traces = served
    assert responses["id"].tolist() == ["q0", "q1", "q2"]
    assert set(responses["status"]) <= {"right", "wrong", "no answer"}
    assert responses["n_tokens"].between(1, 40).all()
    for trace in traces:
        records = trace["logprobs"]["content"]
        assert trace["text"] and len(records) == trace["n_tokens"]
        assert reference.worst_difference(trace["prompt"], records, listed=20) < TOLERANCE
        ids = reference.ids(records)
        assert ids == reference.logprobs(trace["prompt"], ids).argmax(-1).tolist()


def test_responses_are_the_same_through_the_server_and_in_this_process(server, model):
    """Drawn ones by their seeds, and greedy ones."""
    drawn = Decoding(max_tokens=40, temperature=0.8, top_p=0.95, top_logprobs=20)
    asked = [
        Request(str(seed), [{"role": "user", "content": "9 * 8 = ?"}], decoding, seed)
        for seed, decoding in enumerate([drawn] * 6 + [replace(drawn, temperature=0.0)])
    ]
    here = VllmBackend(str(model), dtype="float32", max_model_len=LENGTH)
    there, ours = (
        {request.id: outcome for request, outcome in backend.generate(asked)}
        for backend in (ServerBackend(server, "tiny"), here)
    )
    assert len({it.text for it in there.values()}) == len(asked)
    for name, other in there.items():
        assert (other.text, other.finish) == (ours[name].text, ours[name].finish)
        for one, its in zip(other.logprobs, ours[name].logprobs, strict=True):
            assert one["logprob"] == pytest.approx(its["logprob"], abs=TOLERANCE)


def test_a_prompt_that_is_too_long_fails_alone_at_the_server_too(server):
    asked = [
        Request(str(n), [{"role": "user", "content": "again " * n}], Decoding(max_tokens=8))
        for n in (1, 300, 2)
    ]
    found = {int(one.id): outcome for one, outcome in ServerBackend(server, "tiny").generate(asked)}
    assert isinstance(found[300], Failure) and found[300].attempts == 1
    assert isinstance(found[1], Response) and isinstance(found[2], Response)
