"""The clipped surrogate with dual clip."""

from __future__ import annotations

import math

import pytest
import torch

from ares.errors import UserError
from ares.method.surrogate import masked_average, policy_loss

CLIP = {"clip_low": 0.2, "clip_high": 0.3, "dual_clip": 3.0}


def loss_of(ratio: float, advantage: float) -> tuple[float, float]:
    """Loss and its gradient with respect to the log-probability, for a single token."""
    logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    loss, _ = policy_loss(
        torch.zeros(1, 1).double(), logprob, torch.tensor([[advantage]]), torch.ones(1, 1), **CLIP
    )
    loss.backward()
    return float(loss.detach()), float(logprob.grad)


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


def test_averages():
    values = torch.tensor([[1.0, 3.0], [8.0, 99.0]])
    mask = torch.tensor([[True, True], [True, False]])
    assert masked_average(values, mask).item() == pytest.approx(4.0)
    assert masked_average(values, mask, "sequence").item() == pytest.approx(5.0)
    with pytest.raises(UserError, match="average"):
        masked_average(values, mask, "median")


@pytest.mark.parametrize("average", ["token", "sequence"])
def test_all_masked_is_zero(average):
    zeros = torch.zeros(2, 3)
    loss, statistics = policy_loss(zeros, zeros, zeros, zeros, **CLIP, average=average)
    assert loss == 0 and set(statistics.values()) == {0.0}


def test_what_stands_in_the_padding_does_not_matter():
    mask = torch.tensor([[True, False]])
    padded = torch.tensor([[-1.0, math.nan]], requires_grad=True)
    loss, _ = policy_loss(
        torch.tensor([[-1.0, -math.inf]]), padded, torch.tensor([[2.0, math.nan]]), mask, **CLIP
    )
    loss.backward()
    assert loss.item() == pytest.approx(-2.0)
    assert padded.grad.tolist() == [[-2.0, 0.0]]


def test_nan_under_the_mask_is_refused():
    with pytest.raises(UserError, match="not finite"):
        policy_loss(
            torch.zeros(1, 1),
            torch.tensor([[math.nan]]),
            torch.ones(1, 1),
            torch.ones(1, 1),
            **CLIP,
        )


@pytest.mark.parametrize("change", [{"clip_low": 1.0}, {"clip_high": -0.1}, {"dual_clip": 1.0}])
def test_clip_values_that_make_no_range_are_refused(change):
    zeros = torch.zeros(1, 1)
    with pytest.raises(UserError, match="clip"):
        policy_loss(zeros, zeros, zeros, zeros, **{**CLIP, **change})


@pytest.mark.parametrize("average", ["token", "sequence"])
def test_micro_batches_add_up_to_the_batch(average):
    generator = torch.Generator().manual_seed(0)
    old, new, advantage = torch.randn(3, 6, 5, generator=generator).unbind(0)
    mask = torch.arange(5) < torch.tensor([5, 4, 3, 2, 1, 5])[:, None]
    total = float(mask.sum()) if average == "token" else 6.0
    whole, _ = policy_loss(old, new, advantage, mask, **CLIP, average=average)
    parts = [
        policy_loss(
            old[i : i + 2], new[i : i + 2], advantage[i : i + 2], mask[i : i + 2],
            **CLIP, average=average, total=total,
        )[0]
        for i in (0, 2, 4)
    ]  # fmt: skip
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-6)
