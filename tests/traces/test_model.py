"""A real model's distribution, through a file: the entropy is exact when the whole is listed."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.traces.read import read_traces

RESPONSE = "<think> try 22 - 9 = 13 vs 13 yes . therefore </think> \\boxed{ 22 - 9 = 13 }"


@pytest.fixture(scope="module")
def scored():
    """Tokens of a response, log-probabilities of the whole vocabulary at each, exact entropies."""
    model, processor = load_policy(str(BASE_MODEL), device="cpu")
    tokenizer = processor.tokenizer
    prompt = tokenizer("numbers 9 22 target 13", return_tensors="pt")["input_ids"]
    answer = tokenizer(RESPONSE, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        ids = torch.cat([prompt, answer], dim=1)
        logits = model(input_ids=ids).logits[0, prompt.shape[1] - 1 : -1].double()
    logprobs = logits.log_softmax(-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    names = [tokenizer.decode([i]) or f"<{i}>" for i in range(logits.shape[1])]
    return names, answer[0].tolist(), logprobs.numpy(), entropy.numpy()


def line(scored, k: int) -> dict:
    names, ids, logprobs, _ = scored
    best = np.argsort(-logprobs, axis=1)[:, :k]
    content = [
        {
            "token": names[number],
            "logprob": float(row[number]),
            "top_logprobs": [{"token": names[i], "logprob": float(row[i])} for i in chosen],
        }
        for number, row, chosen in zip(ids, logprobs, best, strict=True)
    ]
    return {"text": RESPONSE, "logprobs": {"content": content}}


def read_back(tmp_path, scored, k: int):
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps(line(scored, k)) + "\n", encoding="utf-8")
    (trace,) = read_traces(path)
    return trace


def test_the_whole_vocabulary_gives_the_exact_entropy(tmp_path, scored):
    trace = read_back(tmp_path, scored, len(scored[0]))
    assert trace.entropy == pytest.approx(scored[3], abs=1e-6)
    assert trace.unlisted == pytest.approx(0, abs=1e-6)
    assert "".join(trace.tokens) == RESPONSE
    assert scored[3].max() > 1  # there is something to measure


def test_less_is_a_lower_bound_that_rises_with_k(tmp_path, scored):
    names, exact = scored[0], scored[3]
    by_k = {k: read_back(tmp_path, scored, k) for k in (2, 5, 20)}
    below = [*(trace.entropy for trace in by_k.values()), exact]
    for fewer, more in pairwise(below):
        assert (fewer <= more + 1e-6).all()
    for k, trace in by_k.items():
        # Spreading the rest evenly over the words that are not listed gives the most.
        most = trace.entropy + trace.unlisted * np.log(len(names) - k)
        assert (exact <= most + 1e-5).all()
