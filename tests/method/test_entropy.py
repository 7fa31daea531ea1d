"""Token entropy: exact, and from listed log-probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method.entropy import (
    exact_entropy,
    mean_entropy,
    top1_ids,
    topk_entropy,
    topk_entropy_error,
)

INF = math.inf
ONE = torch.tensor([[True]])


def textbook_entropy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """-sum p ln p in float64, term by term (eq. 3)."""
    p = (logits.double() / temperature).softmax(-1)
    return -torch.where(p > 0, p * p.log(), 0.0).sum(-1)


def test_exact_entropy_literal():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, -INF, -INF, -INF], [0.0, 0.0, -INF, -INF]])
    expected = [math.log(4), 0.0, math.log(2)]
    assert exact_entropy(logits).tolist() == pytest.approx(expected, abs=1e-7)


def test_temperature_is_that_of_the_softmax():
    logits = torch.tensor([1.0, 3.0])
    p = 1 / (1 + math.exp(-1.0))  # (3 - 1) / 2
    expected = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert float(exact_entropy(logits, temperature=2.0)) == pytest.approx(expected, abs=1e-6)


def test_huge_logits_do_not_overflow():
    assert exact_entropy(torch.tensor([1e30, 1e30, -1e30])).item() == pytest.approx(math.log(2))


def test_leading_axes_are_kept_and_may_be_empty():
    assert exact_entropy(torch.zeros(2, 3, 5)).shape == (2, 3)
    assert exact_entropy(torch.zeros(0, 5)).shape == (0,)
    assert exact_entropy(torch.zeros(5)).shape == ()


def test_bf16_is_computed_in_float32():
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    got = exact_entropy(logits)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, textbook_entropy(logits).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bad", [math.nan, INF])
def test_logits_that_are_no_logits_are_refused(bad):
    logits = torch.zeros(3, 4)
    logits[1, 2] = bad
    with pytest.raises(UserError, match="at token 1"):
        exact_entropy(logits)


def test_nothing_finite_is_refused():
    with pytest.raises(UserError, match="nothing finite"):
        exact_entropy(torch.full((1, 4), -INF))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(UserError, match="temperature"):
        exact_entropy(torch.zeros(4), temperature)


@given(
    st.integers(0, 2**31),
    st.integers(1, 40),
    st.integers(1, 9),
    st.floats(0.1, 10),
    st.floats(0.01, 30),
)
def test_exact_entropy_equals_the_textbook_for_any_chunk(
    seed, vocabulary, rows, temperature, spread
):
    logits = spread * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))
    got = exact_entropy(logits, temperature, chunk_elements=2 * vocabulary)
    torch.testing.assert_close(
        got.double(), textbook_entropy(logits, temperature), atol=2e-5, rtol=0
    )
    assert torch.equal(got, exact_entropy(logits, temperature, chunk_elements=1))
    assert (got >= 0).all() and (got <= math.log(vocabulary) + 1e-5).all()


def test_topk_literal_with_and_without_tail():
    logprobs = torch.tensor([[[math.log(0.5), math.log(0.25)]]])
    listed = 0.5 * math.log(2) + 0.25 * math.log(4)
    assert topk_entropy(logprobs, ONE, tail=False).item() == pytest.approx(listed)
    with_tail = listed + 0.25 * math.log(4)
    assert topk_entropy(logprobs, ONE, tail=True).item() == pytest.approx(with_tail)


def test_minus_infinity_is_probability_zero():
    with_it = torch.tensor([[[math.log(0.5), -INF, math.log(0.5)]]])
    assert topk_entropy(with_it, ONE).item() == pytest.approx(math.log(2), abs=1e-5)
    certain = torch.tensor([[[0.0, -INF]]])
    assert topk_entropy(certain, ONE).item() == 0.0


def test_nothing_listed_is_all_tail():
    assert topk_entropy(torch.full((1, 1, 3), -INF), ONE).item() == 0.0


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
    with pytest.raises(UserError, match="do not fit"):
        topk_entropy(torch.zeros(1, 2, 3), ONE)


@given(st.integers(0, 2**31), st.floats(0.05, 20))
def test_topk_error_is_never_positive_and_vanishes_at_full_vocabulary(seed, spread):
    logits = spread * torch.randn(6, 30, generator=torch.Generator().manual_seed(seed))
    ks = [1, 5, 10, 30]
    tail = topk_entropy_error(logits, ks)
    bare = topk_entropy_error(logits, ks, tail=False)
    assert (tail <= 2e-5).all() and (bare <= 2e-5).all()
    assert (bare <= tail + 2e-5).all()  # the tail only mends
    assert (bare[1:] >= bare[:-1] - 2e-5).all()  # more alternatives, less error
    assert bare[-1].abs().max() < 2e-5


def test_topk_error_refuses_an_impossible_k():
    with pytest.raises(UserError, match="between 1"):
        topk_entropy_error(torch.zeros(1, 4), [5])


def test_top1_takes_the_first_of_equals():
    ids = torch.tensor([[[7, 8, 9], [7, 8, 9]]])
    logprobs = torch.tensor([[[-1.0, -0.5, -0.5], [-0.2, -3.0, -INF]]])
    assert top1_ids(ids, logprobs).tolist() == [[8, 7]]


def test_mean_entropy_of_an_empty_rollout_is_zero():
    entropy = torch.tensor([[1.0, 3.0], [math.nan, math.nan]])
    mask = torch.tensor([[True, True], [False, False]])
    assert mean_entropy(entropy, mask).tolist() == [2.0, 0.0]
