"""KL estimators, token weights and controllers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method.difficulty import BucketSums
from ares.method.kl import (
    ReleasedController,
    WindowController,
    kl_estimate,
    kl_sums,
    token_weights,
)


@given(st.integers(0, 2**31))
def test_the_estimate_has_the_exact_kl_as_expectation(seed):
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randn(2, 7, generator=generator).log_softmax(-1).unbind(0)
    exact = (p.exp() * (p - q)).sum().item()
    assert (p.exp() * kl_estimate(p, q)).sum().item() == pytest.approx(exact, abs=1e-5)
    assert (kl_estimate(p, q) >= -1e-6).all()


@given(st.integers(0, 2**31))
def test_the_mean_gradient_of_the_estimate_as_a_loss_is_that_of_the_other_kl(seed):
    generator = torch.Generator().manual_seed(seed)
    logits, other = torch.randn(2, 5, generator=generator, dtype=torch.float64).unbind(0)
    logits.requires_grad_()
    logprob, reference = logits.log_softmax(-1), other.log_softmax(-1)
    sampled = (logprob.detach().exp() * kl_estimate(logprob, reference)).sum()
    (gradient,) = torch.autograd.grad(sampled, logits)
    torch.testing.assert_close(gradient, (logprob.exp() - reference.exp()).detach())


@pytest.mark.parametrize("far", [500.0, math.inf])
def test_the_estimate_and_its_gradient_are_finite_far_away(far):
    for logprob, ref_logprob in ((-far, 0.0), (0.0, -far)):
        p = torch.tensor([logprob], requires_grad=True)
        estimate = kl_estimate(p, torch.tensor([ref_logprob]))
        estimate.sum().backward()
        assert torch.isfinite(estimate).all() and torch.isfinite(p.grad).all()


def test_weights_fall_inside_windows():
    hwe = torch.tensor([[True, False], [False, False]])
    assert token_weights(torch.tensor([2.0, 4.0]), hwe, 0.25).tolist() == [[0.5, 2.0], [4.0, 4.0]]
    assert token_weights(torch.tensor([2.0, 4.0]), hwe, 1.0).tolist() == [[2.0, 2.0], [4.0, 4.0]]


def test_the_controller_sees_non_window_tokens_only():
    kl = torch.tensor([[0.1, 9.0, 0.3], [0.5, math.nan, 0.7]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    hwe = torch.tensor([[False, True, False], [False, False, False]])
    sums = kl_sums(kl, mask & ~hwe, torch.tensor([0, 2]))
    assert sums.sums_3D[0].tolist() == [2, 0, 1]
    assert sums.sums_3D[1].tolist() == pytest.approx([0.4, 0, 0.5])


def test_nan_kl_is_refused():
    with pytest.raises(UserError, match="kl_BT"):
        kl_sums(torch.tensor([[math.nan]]), torch.ones(1, 1).bool(), torch.zeros(1).long())


def sums_of(mean: float, bucket: int = 0) -> BucketSums:
    return BucketSums.of(torch.tensor([mean], dtype=torch.float64), torch.tensor([bucket]))


def test_eq27_literal():
    controller = WindowController([0.1, 0.1, 0.1], 0.01, 0.5, 0.001, 1.0)
    controller.update(sums_of(0.02))  # twice the budget: x (1 + .5 (2 - 1))
    assert controller.beta_D == pytest.approx([0.15, 0.1, 0.1])
    controller.update(sums_of(0.0))  # nothing used: x (1 - .5)
    assert controller.beta_D == pytest.approx([0.075, 0.1, 0.1])
    controller.update(sums_of(1e9))
    assert controller.beta_D[0] == 1.0
    for _ in range(20):
        controller.update(sums_of(0.0))
    assert controller.beta_D[0] == 0.001


def test_released_controllers_average_a_micro_batch_and_have_a_dead_zone():
    one = ReleasedController(interval=1)
    one.update(torch.tensor([0.02, 0.04, 0.9]), torch.tensor([0, 0, 3]))
    two = ReleasedController(interval=1)
    two.update(torch.tensor([0.03]), torch.tensor([0]))
    assert one.kl_D == pytest.approx([0.03, None, None])
    assert one.beta_D == pytest.approx(two.beta_D)
    controller = ReleasedController(interval=1)
    controller.update(torch.tensor([0.0101]), torch.tensor([0]))
    assert controller.beta_D[0] == 1.0 and controller.error_D[0] == 0.0
    assert controller.kl_D[0] == pytest.approx(0.0101)
