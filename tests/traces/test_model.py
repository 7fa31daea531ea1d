"""A real model's distribution, through a file: the entropy is exact when the whole is listed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from ares.traces.read import traces_of

RESPONSE = "<think> try 22 - 9 = 13 vs 13 yes . therefore </think> \\boxed{ 22 - 9 = 13 }"


@pytest.fixture(scope="module")
def scored():
    """Tokens of a response, log-probabilities of the whole vocabulary at each, exact entropies."""
    model, processor = load_policy(str(BASE_MODEL), device="cpu")
    tokenizer = processor.tokenizer
    prompt, answer = (
        tokenizer(text, return_tensors="pt")["input_ids"]
        for text in ("numbers 9 22 target 13", RESPONSE)
    )
    with torch.inference_mode():
        ids = torch.cat([prompt, answer], dim=1)
        logits = model(input_ids=ids).logits[0, prompt.shape[1] - 1 : -1].double()
    logprobs = logits.log_softmax(-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    names = [tokenizer.decode([i]) or f"<{i}>" for i in range(logits.shape[1])]
    return names, answer[0].tolist(), logprobs.numpy(), entropy.numpy()


def read_back(scored, k: int):
    """The trace of a line in which the k most probable tokens are listed."""
    names, ids, logprobs, _ = scored
    best = np.argsort(-logprobs, axis=1)[:, :k]
    tops = [
        {"top_logprobs": [{"token": names[i], "logprob": float(row[i])} for i in chosen]}
        for row, chosen in zip(logprobs, best, strict=True)
    ]
    content = [
        {"token": names[number], "logprob": float(row[number]), **top}
        for number, row, top in zip(ids, logprobs, tops, strict=True)
    ]
    (trace,) = traces_of({"text": RESPONSE, "logprobs": {"content": content}})
    return trace


def test_the_whole_vocabulary_gives_the_exact_entropy_and_less_a_lower_bound(scored):
    names, exact = scored[0], scored[3]
    whole = read_back(scored, len(names))
    assert whole.entropy == pytest.approx(exact, abs=1e-6)
    assert whole.unlisted == pytest.approx(0, abs=1e-6)
    assert "".join(whole.tokens) == RESPONSE
    assert exact.max() > 1  # there is something to measure
    by_k = {k: read_back(scored, k) for k in (2, 5, 20)}
    for fewer, more in pairwise([*(trace.entropy for trace in by_k.values()), exact]):
        assert (fewer <= more + 1e-6).all()
    for k, trace in by_k.items():
        # Spreading the rest evenly over the words that are not listed gives the most.
        most = trace.entropy + trace.unlisted * np.log(len(names) - k)
        assert (exact <= most + 1e-5).all()
