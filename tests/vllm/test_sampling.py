"""The sampling adapter on the real vLLM, against transformers on the same weights."""

from __future__ import annotations

import pytest
import torch

from ares.backends.base import Decoding, Failure, Request, Response
from ares.backends.vllm import VllmBackend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUESTION = "what is the sum of three and four?"
#: Largest difference in log-probability that is agreement, in nats.
TOLERANCE = 1e-4

PLAIN = Decoding(max_tokens=40, top_logprobs=20)
NARROW = Decoding(max_tokens=40, temperature=0.6, top_p=0.9, top_k=10, top_logprobs=20)
GREEDY = Decoding(max_tokens=40, temperature=0.0, top_logprobs=20)


def request(name: str, decoding: Decoding, seed: int = 0, question: str = QUESTION) -> Request:
    return Request(name, [{"role": "user", "content": question}], decoding, seed)


@pytest.fixture(scope="module")
def backend(model):
    return VllmBackend(str(model), dtype="float32", max_model_len=256, parallel=5)


@pytest.fixture(scope="module")
def outcomes(backend) -> dict[str, Response | Failure]:
    """One run with everything in it: prompts of all kinds share the engine."""
    asked = [
        *(request(f"plain {seed}", PLAIN, seed) for seed in range(8)),
        *(request(f"narrow {seed}", NARROW, seed) for seed in range(4)),
        request("greedy", GREEDY),
        request("too long", PLAIN, question="again " * 300),
        request("greedy again", GREEDY, seed=7),
        request("plain 3 again", PLAIN, seed=3),
        request("no records", Decoding(max_tokens=40, temperature=0.0)),
        *(
            request(f"long {seed}", Decoding(max_tokens=200, top_logprobs=1), seed)
            for seed in range(8)
        ),
    ]
    found = {asked.id: outcome for asked, outcome in backend.generate(iter(asked))}
    assert found.keys() == {one.id for one in asked}
    return found


def with_records(outcomes, *kinds: str) -> list[Response]:
    found = [it for name, it in outcomes.items() if name.split()[0] in kinds]
    assert found and all(isinstance(it, Response) and it.logprobs for it in found)
    return found


def test_logprobs_agree_with_transformers(outcomes, reference):
    # Also where temperature and truncation decide what is drawn: records are of the model itself.
    for response in with_records(outcomes, "plain", "narrow", "greedy"):
        assert reference.worst_difference(QUESTION, response.logprobs) < TOLERANCE


def test_the_most_probable_tokens_are_listed_best_first_and_the_drawn_one_always(
    outcomes, reference
):
    beyond = 0
    for response in with_records(outcomes, "plain"):
        expected_TV = reference.logprobs(QUESTION, reference.ids(response.logprobs))
        for at, record in enumerate(response.logprobs):
            values = [it["logprob"] for it in record["top_logprobs"]]
            assert values == sorted(values, reverse=True)
            best = expected_TV[at].topk(20).values.tolist()
            assert values[:20] == pytest.approx(best, abs=TOLERANCE)
            listed = [it["token"] for it in record["top_logprobs"]]
            assert record["token"] in listed
            assert len(listed) == (21 if record["logprob"] < values[19] else 20)
            beyond += len(listed) == 21
    # The test would say nothing about drawn tokens beyond the 20 without any.
    assert beyond > 5


def test_greedy_takes_the_most_probable_token_and_no_setting_of_the_model(outcomes, reference):
    # The folder asks for a repetition penalty and top-k sampling; neither may apply.
    response = outcomes["greedy"]
    ids = reference.ids(response.logprobs)
    assert ids == reference.logprobs(QUESTION, ids).argmax(-1).tolist()
    assert outcomes["greedy again"].text == response.text
    assert outcomes["no records"].text == response.text
    assert outcomes["no records"].logprobs is None


def test_truncation_decides_what_is_drawn(outcomes, reference):
    def ranks(kind: str) -> list[int]:
        found = []
        for response in with_records(outcomes, kind):
            ids = reference.ids(response.logprobs)
            expected_TV = reference.logprobs(QUESTION, ids)
            drawn_T1 = expected_TV.gather(-1, torch.tensor(ids)[:, None])
            found += (expected_TV > drawn_T1).sum(-1).tolist()
        return found

    assert max(ranks("narrow")) < 10
    assert max(ranks("plain")) > 20


def test_a_seed_repeats_and_seeds_differ(outcomes):
    assert outcomes["plain 3 again"].text == outcomes["plain 3"].text
    assert len({outcomes[f"plain {seed}"].text for seed in range(8)}) == 8


def test_why_a_response_ends(outcomes, reference):
    ended = [outcomes[f"long {seed}"] for seed in range(8)]
    assert {it.finish for it in ended} == {"stop", "length"}
    for response in ended:
        end = response.logprobs[-1]["token"] in ("<|im_end|>", "<|endoftext|>")
        assert (response.finish == "stop") == end
        assert response.tokens == len(response.logprobs)
        assert response.finish == "stop" or response.tokens == 200
        # The end token is counted and recorded, but no text.
        assert "<|im_end|>" not in response.text


def test_prompts_and_responses_are_counted_in_tokens(outcomes, reference):
    greedy, length = outcomes["greedy"], len(reference.prompt(QUESTION))
    assert (greedy.prompt_tokens, greedy.tokens, greedy.finish) == (length, 40, "length")


def test_a_stop_text_ends_a_response_and_is_no_part_of_it(backend, outcomes):
    whole = outcomes["greedy"].text
    stop = whole[10:13]
    decoding = Decoding(max_tokens=40, temperature=0.0, top_logprobs=2, stop=(stop,))
    ((_, response),) = backend.generate([request("stop", decoding)])
    assert (response.text, response.finish) == (whole[: whole.index(stop)], "stop")
    assert response.tokens == len(response.logprobs) < 40


def test_a_prompt_that_is_too_long_fails_alone(outcomes):
    failures = {name: it for name, it in outcomes.items() if isinstance(it, Failure)}
    assert failures.keys() == {"too long"}
    assert "256" in failures["too long"].reason
    assert "\n" not in failures["too long"].reason


def test_takes_requests_as_it_goes_and_stops_when_nobody_reads(backend):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield request(str(len(taken)), Decoding(max_tokens=5), seed=len(taken))

    answers = backend.generate(endless())
    for _ in range(20):
        next(answers)
    assert len(taken) <= 20 + 2 * backend.parallel
    answers.close()
    # The engine is free again: what follows is answered, and nothing else comes.
    ((asked, response),) = backend.generate([request("after", GREEDY)])
    assert asked.id == "after" and response.tokens == 40
