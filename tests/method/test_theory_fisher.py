"""Lemma 4, Proposition 2, Corollary 1: literal cases, properties, needed conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when the condition
that its module lists is not met.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory_fisher

approx = pytest.approx
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(min_value=0, max_value=2**32 - 1)


# --- Lemma 4 ------------------------------------------------------------------------------------


def random_model(seed: int, positions: int = 4, tokens: int = 3, size: int = 5):
    """Features (T, V, D), parameters (D), weights (T): 4 x 2 free probabilities, 5 parameters."""
    rng = np.random.default_rng(seed)
    features_TVD = rng.normal(size=(positions, tokens, size))
    return features_TVD, rng.normal(size=size), rng.uniform(0.1, 1.0, size=positions), rng


def test_fisher_of_a_coin_is_p_times_one_minus_p():
    features_TVD = np.array([[[1.0], [0.0]]])
    theta_D = np.array([math.log(3.0)])  # probabilities 3/4 and 1/4
    assert theory_fisher.weighted_fisher(features_TVD, theta_D, [2.0]) == approx(2 * 3 / 16)


@quick
@given(seeds)
def test_lemma4_error_is_of_third_order(seed):
    features_TVD, theta_D, beta_T, rng = random_model(seed)
    step_D = rng.normal(size=5)
    step_D /= np.linalg.norm(step_D)
    sides = [theory_fisher.lemma4(features_TVD, theta_D, h * step_D, beta_T) for h in (0.02, 0.01)]
    # |KL - quadratic| <= sup |third derivative| h^3 / 6; the features bound that derivative.
    reach = 2 * np.linalg.norm(features_TVD, axis=2).max()
    for h, side in zip((0.02, 0.01), sides, strict=True):
        assert abs(side.slack) <= beta_T.max() * reach**3 * h**3
    assert sides[1].left == approx(sides[1].right, rel=0.2)


def test_lemma4_error_falls_eightfold_when_the_step_halves():
    features_TVD, theta_D, beta_T, _ = random_model(3)
    step_D = np.array([1.0, -1.0, 0.5, 0.0, 1.0])
    errors = [
        theory_fisher.lemma4(features_TVD, theta_D, h * step_D, beta_T).slack for h in (0.02, 0.01)
    ]
    assert errors[0] / errors[1] == approx(8.0, rel=0.05)


def test_lemma4_needs_the_reference_as_its_centre():
    """Around another point the KL to the reference changes in the first order of the step."""
    features_TVD, reference_D, beta_T, _ = random_model(3)
    theta_D = reference_D + 0.5
    before = theory_fisher.weighted_kl(features_TVD, theta_D, reference_D, beta_T)
    fisher_DD = theory_fisher.weighted_fisher(features_TVD, theta_D, beta_T)
    for h in (1e-2, 1e-3, 1e-4):
        step_D = h * np.ones(5)
        after = theory_fisher.weighted_kl(features_TVD, theta_D + step_D, reference_D, beta_T)
        quadratic = float(step_D @ fisher_DD @ step_D) / 2
        assert (after - before) / h > 0.1
        assert (after - before) / quadratic > 0.9 / h


# --- Proposition 2 ------------------------------------------------------------------------------


def test_proposition2_literal():
    """F = diag(2, 4), g = (2, 4), kappa = 1/2: step 2 (1, 1), gain (2 + 4)."""
    step_D, gain = theory_fisher.proposition2(np.array([2.0, 4.0]), np.diag([2.0, 4.0]), kappa=0.5)
    assert step_D == approx([2.0, 2.0])
    assert gain == approx(6.0)


@quick
@given(seeds, st.floats(min_value=0.01, max_value=100))
def test_proposition2_step_is_the_best_of_the_model(seed, kappa):
    features_TVD, theta_D, beta_T, rng = random_model(seed)
    fisher_DD = theory_fisher.weighted_fisher(features_TVD, theta_D, beta_T)
    gradient_D = theory_fisher.policy_gradient(features_TVD, theta_D, rng.normal(size=(4, 3)))
    step_D, gain = theory_fisher.proposition2(gradient_D, fisher_DD, kappa)

    def model_gain(at_D: np.ndarray) -> float:
        return float(gradient_D @ at_D - kappa * (at_D @ fisher_DD @ at_D) / 2)

    assert model_gain(step_D) == approx(gain, rel=1e-6)
    for noise_D in rng.normal(size=(20, 5)):
        other_D = step_D + noise_D * np.linalg.norm(step_D)
        assert model_gain(other_D) < gain


def test_proposition2_gain_is_local():
    """The objective's own gain over the predicted one: wrong at kappa 0.1, right at kappa 1000."""
    features_TVD, theta_D, beta_T, rng = random_model(1)
    advantage_TV = rng.normal(size=(4, 3))
    fisher_DD = theory_fisher.weighted_fisher(features_TVD, theta_D, beta_T)
    gradient_D = theory_fisher.policy_gradient(features_TVD, theta_D, advantage_TV)

    def ratio(kappa: float) -> float:
        step_D, gain = theory_fisher.proposition2(gradient_D, fisher_DD, kappa)
        return (
            theory_fisher.true_gain(features_TVD, theta_D, step_D, advantage_TV, beta_T, kappa)
            / gain
        )

    assert ratio(1000.0) == approx(1.0, abs=0.01)
    assert abs(ratio(0.1) - 1.0) > 0.3


def test_proposition2_needs_a_gradient_in_the_range_of_f_b():
    """Tabular logits: F is singular along the constant. A policy gradient does not care."""
    features_TVD = np.eye(3)[None]
    theta_D = np.array([0.2, -0.1, 0.5])
    fisher_DD = theory_fisher.weighted_fisher(features_TVD, theta_D, [1.0])
    assert np.linalg.matrix_rank(fisher_DD) == 2
    in_range_D = theory_fisher.policy_gradient(features_TVD, theta_D, np.array([[1.0, 0.0, -1.0]]))
    assert theory_fisher.proposition2(in_range_D, fisher_DD, kappa=1.0)[1] > 0
    with pytest.raises(UserError, match="infinite"):
        theory_fisher.proposition2(np.array([1.0, 0.0, 0.0]), fisher_DD, kappa=1.0)


def test_proposition2_needs_rho_above_zero():
    """Weight 0 inside the window: the KL no longer sees the parameter that only acts there."""
    features_TVD = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]])
    theta_D, advantage_TV = np.zeros(2), np.array([[1.0, 0.0], [1.0, 0.0]])
    gradient_D = theory_fisher.policy_gradient(features_TVD, theta_D, advantage_TV)
    small = theory_fisher.weighted_fisher(features_TVD, theta_D, [1.0, 0.01])
    assert theory_fisher.proposition2(gradient_D, small, kappa=1.0)[1] == approx(0.0625 * 101)
    with pytest.raises(UserError, match="give every token a positive weight"):
        none = theory_fisher.weighted_fisher(features_TVD, theta_D, [1.0, 0.0])
        theory_fisher.proposition2(gradient_D, none, kappa=1.0)


# --- Corollary 1 --------------------------------------------------------------------------------


def split_fisher(seed: int):
    """Gradient, F of two window tokens, F of six others: 16 free probabilities, 5 parameters."""
    features_TVD, theta_D, _, rng = random_model(seed, positions=8)
    inside_T = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    return (
        theory_fisher.policy_gradient(features_TVD, theta_D, rng.normal(size=(8, 3))),
        theory_fisher.weighted_fisher(features_TVD, theta_D, inside_T),
        theory_fisher.weighted_fisher(features_TVD, theta_D, 1 - inside_T),
    )


@quick
@given(seeds, st.floats(min_value=0.05, max_value=0.95))
def test_corollary1_gain_rises_as_rho_falls(seed, rho):
    gradient_D, inside_DD, outside_DD = split_fisher(seed)
    gain, slope = theory_fisher.corollary1(gradient_D, inside_DD, outside_DD, rho, kappa=2.0)
    higher, _ = theory_fisher.corollary1(gradient_D, inside_DD, outside_DD, rho + 1e-6, kappa=2.0)
    assert slope < 0
    assert (higher - gain) / 1e-6 == approx(slope, rel=1e-3)


def test_corollary1_needs_a_gradient_that_moves_the_window():
    inside_DD, outside_DD = np.diag([1.0, 0.0]), np.diag([1.0, 2.0])
    elsewhere = theory_fisher.corollary1(np.array([0.0, 2.0]), inside_DD, outside_DD, 0.5, 1.0)
    assert elsewhere == (approx(1.0), 0.0)
    along = theory_fisher.corollary1(np.array([3.0, 0.0]), inside_DD, outside_DD, 0.5, 1.0)
    assert along == (approx(3.0), approx(-2.0))


@quick
@given(seeds, st.floats(min_value=0.05, max_value=3.0))
def test_corollary1_does_not_hold_at_equal_kl(seed, rho):
    """At equal unweighted KL no weighting beats rho = 1, whose gain is sqrt(2 budget g' F^-1 g)."""
    gradient_D, inside_DD, outside_DD = split_fisher(seed)
    unweighted = theory_fisher.gain_at_equal_kl(gradient_D, inside_DD, outside_DD, 1.0, 0.01)
    weighted = theory_fisher.gain_at_equal_kl(gradient_D, inside_DD, outside_DD, rho, 0.01)
    natural = gradient_D @ np.linalg.solve(inside_DD + outside_DD, gradient_D)
    assert unweighted == approx(math.sqrt(2 * 0.01 * natural), rel=1e-6)
    assert weighted <= unweighted * (1 + 1e-9)
