"""The sampler against `generate`, against one full forward, and against itself."""

import pytest
import torch

from ares.errors import UserError
from ares.sampling.engine import draw, sample
from ares.sampling.prompts import Prompt
from ares.sampling.scoring import score

LENGTH = 48


def generate(model, inputs, max_new_tokens, ends):
    """The greedy responses of transformers, cut after the end token."""
    config = model.config
    output = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        suppress_tokens=[config.image_token_id, config.video_token_id],
        eos_token_id=ends,
    )
    responses = [row.tolist() for row in output[:, inputs["input_ids"].shape[1] :]]
    first_end = [
        next((i for i, token in enumerate(row) if token in ends), len(row)) for row in responses
    ]
    return [row[: end + 1] for row, end in zip(responses, first_end, strict=True)]


def tokens(samples):
    return [response.token_ids.tolist() for response in samples]


def test_greedy_tokens_equal_those_of_generate(policy, inputs, prompts, ids):
    model, _ = policy
    free = generate(model, inputs, LENGTH, [ids["eos_token_ids"][0]])
    # Every row gets an end at a place of its own, as trained models do.
    ends = [row[index] for row, index in zip(free, (1, 0, 5, 2), strict=True)]
    for eos in (ids["eos_token_ids"], ends[:1], ends):
        samples = sample(
            model, prompts, max_new_tokens=LENGTH, top_p=1e-6, seeds=range(4),
            eos_token_ids=eos,
        )  # fmt: skip
        assert tokens(samples) == generate(model, inputs, LENGTH, list(eos))
        assert [s.finished for s in samples] == [s.token_ids[-1] in eos for s in samples]


@pytest.mark.parametrize(("temperature", "top_p"), [(0.8, 1.0), (1.0, 0.5)])
def test_statistics_equal_a_full_forward_whatever_is_cut_off(
    policy, prompts, ids, temperature, top_p
):
    model, _ = policy
    samples = sample(
        model, prompts, max_new_tokens=LENGTH, temperature=temperature, top_p=top_p,
        seeds=range(12), **ids,
    )  # fmt: skip
    responses = [s.token_ids for s in samples]
    scores = score(model, prompts, responses, temperature=temperature, batch_size=5)
    assert len({len(ids) for ids in responses}) > 1 or top_p < 1
    for drawn, scored in zip(samples, scores, strict=True):
        torch.testing.assert_close(drawn.logprobs, scored.logprobs, atol=1e-5, rtol=0)
        torch.testing.assert_close(drawn.entropies, scored.entropies, atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_bits_and_a_repeated_prompt_is_as_good(policy, prompts, ids):
    model, _ = policy
    first, again, other = (
        sample(model, prompts, max_new_tokens=LENGTH, seeds=range(start, start + 4), **ids)
        for start in (7, 7, 8)
    )
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.token_ids, two.token_ids)
        assert torch.equal(one.logprobs, two.logprobs)
        assert torch.equal(one.entropies, two.entropies)
    assert all(a != b for a, b in zip(tokens(first), tokens(other), strict=True))
    options = {"max_new_tokens": 16, "seeds": range(12), **ids}
    expanded = sample(policy[0], prompts, **options)
    repeated = [prompt for prompt in prompts for _ in range(3)]
    assert tokens(expanded) == tokens(sample(policy[0], repeated, **options))


def test_a_row_does_not_depend_on_the_others(policy, prompts, ids):
    model, _ = policy
    # Many ends, so that rows leave at many steps and slots are reused.
    ends = ids["eos_token_ids"] + list(range(20, 28))
    options = {"max_new_tokens": LENGTH, "eos_token_ids": ends}
    together = sample(model, prompts, seeds=range(40), **options)
    assert len({len(s.token_ids) for s in together}) > 8
    for row in (0, 9, 15, 22, 38, 39):
        (alone,) = sample(model, [prompts[row // 10]], seeds=[row], **options)
        assert alone.token_ids.tolist() == together[row].token_ids.tolist()
        torch.testing.assert_close(alone.entropies, together[row].entropies, atol=1e-5, rtol=0)


def test_a_response_continues_a_prefix(policy, prompts, ids):
    options = {"top_p": 1e-6, "seeds": range(4), **ids}
    whole = tokens(sample(policy[0], prompts, max_new_tokens=20, **options))
    cuts = (3, 8, 1, 5)
    begun = [p.followed_by(ids[:cut]) for p, ids, cut in zip(prompts, whole, cuts, strict=True)]
    rest = tokens(sample(policy[0], begun, max_new_tokens=12, **options))
    assert rest == [ids[cut : cut + 12] for ids, cut in zip(whole, cuts, strict=True)]


def test_frequencies_follow_the_distribution(policy, ids):
    model, _ = policy
    prompt = Prompt(torch.tensor([12, 13, 14]))
    n = 4000
    samples = sample(model, [prompt], max_new_tokens=1, seeds=range(n), **ids)
    drawn = torch.cat([s.token_ids for s in samples])
    with torch.no_grad():
        logits = model(input_ids=prompt.token_ids[None]).logits[0, -1]
    logits[[model.config.image_token_id, model.config.video_token_id]] = -torch.inf  # never drawn
    expected = logits.softmax(-1) * n
    counts = torch.bincount(drawn, minlength=len(expected)).float()
    common = expected > 5
    chi_square = ((counts - expected)[common] ** 2 / expected[common]).sum()
    freedom = int(common.sum())
    assert freedom > 20
    # The seeds are fixed; a fair draw is within 4 standard deviations of the mean.
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


def test_draws_by_hand():
    probabilities = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).expand(6, -1)
    uniforms = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert draw(probabilities, 1.0, uniforms).tolist() == [0, 0, 2, 2, 3, 3]
    probabilities = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).expand(4, -1)
    uniforms = torch.tensor([0.0, 0.56, 0.58, 0.999], dtype=torch.float64)
    # 0.4 + 0.3 reach 0.7: tokens 1 and 3 remain, with 4/7 and 3/7.
    assert draw(probabilities, 0.7 - 1e-6, uniforms).tolist() == [1, 1, 3, 3]
    # The most probable token remains however small top_p is.
    assert draw(probabilities, 0.01, uniforms).tolist() == [1, 1, 1, 1]


def test_placeholders_are_never_drawn(policy, ids):
    model, _ = policy
    barred = [model.config.image_token_id, model.config.video_token_id]
    bias = torch.zeros(model.config.text_config.vocab_size)
    bias[barred] = 50.0
    model.lm_head.bias = torch.nn.Parameter(bias)
    prompt = [Prompt(torch.tensor([12, 13]))]
    try:
        for top_p in (1.0, 1e-6):
            (response,) = sample(model, prompt, max_new_tokens=8, seeds=[0], top_p=top_p, **ids)
            assert not set(response.token_ids.tolist()) & set(barred)
    finally:
        model.lm_head.bias = None


def test_dropout_is_off_the_mode_restored_and_results_may_enter_a_loss(policy, prompts, ids):
    model, _ = policy
    options = {"max_new_tokens": 8, "seeds": range(4), **ids}
    calm = sample(model, prompts, **options)
    attention = model.model.language_model.layers[0].self_attn
    attention.attention_dropout = 0.9
    model.train()
    try:
        assert tokens(sample(model, prompts, **options)) == tokens(calm)
        assert model.training
    finally:
        attention.attention_dropout = 0.0
        model.eval()
    (response, *_) = sample(policy[0], prompts, max_new_tokens=2, seeds=range(4), **ids)
    weight = torch.ones(2, requires_grad=True)
    (weight * response.entropies).sum().backward()
    assert torch.equal(weight.grad, response.entropies)


def test_what_cannot_be_sampled_is_reported(policy, prompts, ids):
    model, _ = policy
    norm = model.model.language_model.norm
    norm.weight.data[3], before = torch.nan, norm.weight.data[3].item()
    try:
        with pytest.raises(UserError, match="not finite at new token 1"):
            sample(model, prompts, max_new_tokens=4, seeds=range(4), **ids)
    finally:
        norm.weight.data[3] = before
    with pytest.raises(UserError, match="context holds 1024"):
        sample(policy[0], prompts, max_new_tokens=2000, seeds=range(4), **ids)
