"""Token entropy: exact, and from listed log-probabilities."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.utils import _ChunkedLogProbFunction as FusedHead
from trl.trainer.utils import entropy_from_logits

from ares.errors import UserError
from ares.method.entropy import distribution, topk_entropy

INF = math.inf
ONE = torch.tensor([[True]])


def textbook_entropy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """-sum p ln p in float64, term by term (eq. 3)."""
    p = (logits.double() / temperature).softmax(-1)
    return -torch.where(p > 0, p * p.log(), 0.0).sum(-1)


def entropy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    return distribution(logits, temperature)[2]


def test_entropy_literal():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, -INF, -INF, -INF], [0.0, 0.0, -INF, -INF]])
    expected = [math.log(4), 0.0, math.log(2)]
    assert entropy(logits).tolist() == pytest.approx(expected, abs=1e-7)
    huge = torch.tensor([[1e30, 1e30, -1e30]])
    assert entropy(huge).item() == pytest.approx(math.log(2))


def test_temperature_is_that_of_the_softmax():
    p = 1 / (1 + math.exp(-1.0))  # (3 - 1) / 2
    expected = -p * math.log(p) - (1 - p) * math.log(1 - p)
    prob_BV, logprob_BV, entropy_B = distribution(torch.tensor([[1.0, 3.0]]), temperature=2.0)
    assert float(entropy_B) == pytest.approx(expected, abs=1e-6)
    assert prob_BV[0].tolist() == pytest.approx([1 - p, p])
    assert logprob_BV.exp()[0].tolist() == pytest.approx([1 - p, p])


@pytest.mark.parametrize("bad", [[math.nan, 0.0], [INF, 0.0], [-INF, -INF]])
def test_what_is_no_distribution_has_no_entropy(bad):
    """The sampler and the scorer refuse it, with the place."""
    assert entropy(torch.tensor([[0.0, 0.0], bad])).isnan().tolist() == [False, True]


@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(0.1, 10), st.floats(0.01, 30))
def test_entropy_equals_the_textbook(seed, vocabulary, temperature, spread):
    logits = spread * torch.randn(5, vocabulary, generator=torch.Generator().manual_seed(seed))
    for given_, tolerance in ((logits, 2e-5), (logits.bfloat16(), 2e-5)):
        got, expected = entropy(given_, temperature), textbook_entropy(given_, temperature)
        torch.testing.assert_close(got.double(), expected, atol=tolerance, rtol=0)


def test_trl_scores_with_the_same_entropy():
    """What its fused head gives to training, and what it computes from logits."""
    logits = torch.tensor([[0.0, 0.0, 0.0], [1.0, 3.0, -2.0], [30.0, -5.0, 2.5], [0.1, 0.2, 9.0]])
    torch.testing.assert_close(entropy_from_logits(logits), entropy(logits), atol=1e-5, rtol=0)
    for temperature in (1.0, 0.7):
        expected = distribution(logits, temperature)
        head = (logits, torch.eye(3), None, torch.tensor([0, 1, 2, 2]), temperature, 2, None, 1.0)
        logprob_B, entropy_B, *_ = FusedHead.apply(*head, ("log_probs", "entropy"))
        torch.testing.assert_close(entropy_B, expected[2], atol=1e-5, rtol=0)
        assert logprob_B[1].item() == pytest.approx(expected[1][1, 1].item(), abs=1e-5)


def test_topk_literal_with_and_without_tail():
    logprobs = torch.tensor([[[math.log(0.5), math.log(0.25)]]])
    listed = 0.5 * math.log(2) + 0.25 * math.log(4)
    assert topk_entropy(logprobs, ONE, tail=False).item() == pytest.approx(listed)
    with_tail = listed + 0.25 * math.log(4)
    assert topk_entropy(logprobs, ONE, tail=True).item() == pytest.approx(with_tail)


@pytest.mark.parametrize("bad", [math.nan, INF, 3.0])
def test_what_is_no_log_probability_is_refused_where_it_counts(bad):
    logprobs = torch.tensor([[[-1.0, -2.0], [-1.0, bad]]])
    with pytest.raises(UserError, match=r"\(0, 1\)"):
        topk_entropy(logprobs, torch.tensor([[True, True]]))
    masked = topk_entropy(logprobs, torch.tensor([[True, False]]))
    assert torch.isfinite(masked).all() and masked[0, 1] == 0


def test_topk_bf16_and_shapes():
    logprobs = torch.tensor([[[-0.5, -2.0]]]).bfloat16()
    assert topk_entropy(logprobs, ONE).dtype == torch.float32
    assert topk_entropy(torch.zeros(2, 0, 4), torch.zeros(2, 0)).shape == (2, 0)


@given(st.integers(0, 2**31), st.floats(0.05, 20))
def test_topk_error_is_never_positive_and_vanishes_at_full_vocabulary(seed, spread):
    logits = spread * torch.randn(6, 30, generator=torch.Generator().manual_seed(seed))
    _, logprob_BV, exact_B = distribution(logits, 1.0)
    logprob_BV, mask_B1 = logprob_BV.sort(-1, descending=True).values, torch.ones(6, 1)
    tail, bare = (
        torch.stack(
            [topk_entropy(logprob_BV[:, None, :k], mask_B1, how)[:, 0] for k in (1, 5, 10, 30)]
        )
        - exact_B
        for how in (True, False)
    )
    assert (tail <= 2e-5).all() and (bare <= 2e-5).all()
    assert (bare <= tail + 2e-5).all()  # the tail only mends
    assert (bare[1:] >= bare[:-1] - 2e-5).all()  # more alternatives, less error
    assert bare[-1].abs().max() < 2e-5
