"""Advantages and the dynamic-sampling filter, as definitions."""

import math

import pytest
import torch

from ares.method.advantages import (
    group_centred,
    group_normalised,
    informative_groups,
    length_normalised,
    psi_bonus,
    token_advantages,
)

GROUP = torch.tensor([0, 0, 1, 1])
REWARD = torch.tensor([1.0, 0.0, 1.0, 1.0])


def test_centred_and_normalised():
    assert group_centred(REWARD, GROUP).tolist() == [0.5, -0.5, 0.0, 0.0]
    unit = 0.5 / (math.sqrt(0.5) + 1e-6)
    assert group_normalised(REWARD, GROUP).tolist() == pytest.approx([unit, -unit, 0.0, 0.0])
    close = torch.tensor([1.0, 1.1, 0.0, 2.0])  # stds .07 and 1.41: the floor holds for one
    floored = group_normalised(close, GROUP, floor=0.25).tolist()
    assert floored == pytest.approx([-0.2, 0.2, -math.sqrt(0.5), math.sqrt(0.5)], abs=1e-5)


def test_length_normalised():
    length = torch.tensor([4, 2, 3, 0])
    assert length_normalised(REWARD, GROUP, length).tolist() == [0.125, -0.25, 0.0, 0.0]


def test_psi_literal():
    window = torch.tensor([[3.0, 2.0, math.nan, 9.0]])
    hwe = torch.tensor([[True, True, False, True]])
    mask = torch.tensor([[True, True, True, False]])
    # lambda x excess = 0.5 x (1, 0, -): 0.5, 0, 0; their mean over 3 tokens is b = 1/6
    psi = psi_bonus(window, hwe, mask, 2.0, torch.tensor([0.5]))
    assert psi[0].tolist() == pytest.approx([1 / 3, -1 / 6, -1 / 6, 0.0])


def test_token_advantages_of_algorithm_1():
    mask = torch.tensor([[True, True], [True, False]])
    psi = torch.tensor([[0.1, -0.1], [0.3, 0.5]])
    got = token_advantages(torch.tensor([1.0, -1.0]), mask, psi)
    torch.testing.assert_close(got, torch.tensor([[1.1, 0.9], [-0.7, 0.0]]))
    assert token_advantages(torch.tensor([1.0, -1.0]), mask).tolist() == [[1.0, 1.0], [-1.0, 0.0]]


def test_filter_bounds_are_strict():
    score = torch.tensor([0.0, 0.5, 1.0, 1.0])
    assert informative_groups(score, GROUP, 0.25, 1.0).tolist() == [False] * 4
    assert informative_groups(score, GROUP, 0.2, 1.0).tolist() == [True, True, False, False]
