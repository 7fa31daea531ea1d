"""The clipped surrogate with dual clip."""

import math

import pytest
import torch

from ares.method.surrogate import clipped_tokens, masked_average, policy_loss

CLIP = {"clip_low": 0.2, "clip_high": 0.3}


def loss_of(ratio: float, advantage: float, dual_clip: float | None = 3.0) -> tuple[float, float]:
    """Loss and its gradient with respect to the log-probability, for a single token."""
    log_ratio = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    loss = policy_loss(log_ratio, torch.tensor([[advantage]]), **CLIP, dual_clip=dual_clip)
    loss.sum().backward()
    return float(loss.detach()), float(log_ratio.grad)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.1, 2.0, -2.2, -2.2),  # inside
        (2.0, 2.0, -2.6, 0.0),  # good and already likelier: clipped at 1.3
        (0.5, 2.0, -1.0, -1.0),  # good and less likely: not clipped
        (0.5, -2.0, 1.6, 0.0),  # bad and less likely: clipped at 0.8
        (2.0, -2.0, 4.0, 4.0),  # bad and likelier: not clipped
        (5.0, -2.0, 6.0, 0.0),  # ... until the dual clip at 3
    ],
)
def test_six_cases_of_clipping(ratio, advantage, loss, gradient):
    assert loss_of(ratio, advantage) == pytest.approx((loss, gradient), abs=1e-6)


def test_which_tokens_are_clipped_and_what_would_overflow():
    log_ratio = torch.tensor([[0.5, 2.0, 0.5, 2.0, 1.0]]).log()
    advantage = torch.tensor([[-1.0, -1.0, 1.0, 1.0, 1.0]])
    low, high = clipped_tokens(log_ratio, advantage, **CLIP)
    assert low.tolist() == [[True, False, False, False, False]]
    assert high.tolist() == [[False, False, False, True, False]]
    for far in (1e4, -1e4):
        log_ratio = torch.tensor([[far, far, far]], requires_grad=True)
        loss = policy_loss(log_ratio, torch.tensor([[1.0, -1.0, 0.0]]), **CLIP, dual_clip=3.0)
        loss.sum().backward()
        assert torch.isfinite(loss).all() and torch.isfinite(log_ratio.grad).all()


def test_averages():
    values = torch.tensor([[1.0, 3.0], [8.0, 99.0]])
    mask = torch.tensor([[True, True], [True, False]])
    assert masked_average(values, mask).item() == pytest.approx(4.0)
    assert masked_average(values, mask, tokens=6.0).item() == pytest.approx(2.0)
    assert masked_average(values, mask, "sequence").item() == pytest.approx(5.0)


@pytest.mark.parametrize("average", ["token", "sequence"])
def test_all_masked_is_zero(average):
    assert masked_average(torch.full((2, 3), math.nan), torch.zeros(2, 3), average) == 0


def test_what_stands_in_the_padding_does_not_matter():
    padded = torch.tensor([[-1.0, math.nan]], requires_grad=True)
    loss = masked_average(2 * padded, torch.tensor([[True, False]]))
    loss.backward()
    assert loss.item() == pytest.approx(-2.0)
    assert padded.grad.tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("average", ["token", "sequence"])
def test_micro_batches_add_up_to_the_batch(average):
    values = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(5) < torch.tensor([5, 4, 3, 2, 1, 5])[:, None]
    parts = [
        masked_average(values[i : i + 2], mask[i : i + 2], average, mask.sum()) for i in (0, 2, 4)
    ]
    share = 1.0 if average == "token" else 1 / 3
    assert share * sum(parts) == pytest.approx(masked_average(values, mask, average).item())
