"""Theorems 1 and 2: literal cases, properties, needed conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when the condition
that its module lists is not met.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory_length
from ares.method.theory_length import EntropyChain

approx = pytest.approx
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(min_value=0, max_value=2**32 - 1)


# --- Theorem 1 ----------------------------------------------------------------------------------


def constant(rate: float):
    return lambda entropy: np.full_like(entropy, rate)


def falling(top: float, scale: float):
    return lambda entropy: top * np.exp(-entropy / scale)


def random_chain(seed: int, hazard) -> EntropyChain:
    rng = np.random.default_rng(seed)
    return EntropyChain(
        entropy_S=rng.uniform(0, 3, size=5),
        start_S=rng.dirichlet(np.full(5, 2.0)),
        transition_SS=rng.dirichlet(np.full(5, 2.0), size=5),
        hazard=hazard,
    )


def two_state_chain(hazard, to_high: float = 0.25) -> EntropyChain:
    """Entropies 0 and 2; after a high token always a low one; starts high."""
    return EntropyChain(
        entropy_S=np.array([0.0, 2.0]),
        start_S=np.array([0.0, 1.0]),
        transition_SS=np.array([[1 - to_high, to_high], [1.0, 0.0]]),
        hazard=hazard,
    )


def test_a_constant_hazard_gives_a_geometric_length():
    assert two_state_chain(constant(0.05)).length() == approx(20.0)


@quick
@given(seeds)
def test_visits_against_a_token_by_token_sum(seed):
    chain = random_chain(seed, falling(top=0.5, scale=2.0))
    go_on_SS = (1 - chain.hazard(chain.entropy_S))[:, None] * chain.transition_SS
    alive_S, visits_S = chain.start_S, np.zeros(5)
    for _ in range(400):
        visits_S = visits_S + alive_S
        alive_S = alive_S @ go_on_SS
    assert chain.visits() == approx(visits_S, rel=1e-6)


def test_a_chain_is_checked():
    with pytest.raises(UserError, match="may never end"):
        two_state_chain(constant(0.0)).length()
    with pytest.raises(UserError, match="between 0 and 1"):
        two_state_chain(constant(1.5)).length()


@quick
@given(seeds, st.floats(min_value=0.0, max_value=3.0))
def test_theorem1_tower_property(seed, theta):
    sides = theory_length.theorem1(random_chain(seed, falling(top=0.2, scale=1.0)), theta)
    assert sides.left == approx(sides.right, rel=1e-9)


def test_theorem1_is_linear_with_one_segment_mean():
    """One HWE state that alone may end the response: a segment is it and 4 low tokens, if it lives.

    Ending with probability h at the HWE token: E[N] = 1/h and E[L] = 1/h + 4 (1/h - 1).
    """
    for rate in (0.5, 0.1, 0.02):
        chain = two_state_chain(lambda entropy, rate=rate: np.where(entropy > 1, rate, 0.0))
        assert chain.count(theta=1.0) == approx(1 / rate)
        assert chain.length() == approx(5 / rate - 4)


def test_theorem1_needs_one_segment_mean():
    """More HWE tokens yet a SHORTER response: short segments that end soon, against long ones.

    Low run 1 / (1 - .9 * .5) = 1.818 tokens, segment 1 + .98647 * 1.818 = 2.794, another follows
    with .98647 * .9 * .5 * 1.818 = .80711: E[N] = 5.184, E[L] = 14.48. Sparse: 11.187 each.
    """
    dense = two_state_chain(falling(top=0.1, scale=1.0), to_high=0.5)
    sparse = two_state_chain(falling(top=0.05, scale=1.0), to_high=0.05)
    assert theory_length.segment_means(dense, theta=1.0)[0][1] == approx(2.794, abs=1e-3)
    assert theory_length.segment_means(sparse, theta=1.0)[0][1] == approx(11.187, abs=1e-3)
    assert (dense.count(1.0), dense.length()) == (approx(5.184, abs=1e-3), approx(14.48, abs=0.01))
    assert (sparse.count(1.0), sparse.length()) == (
        approx(1.937, abs=1e-3),
        approx(21.68, abs=0.01),
    )


def test_theorem1_needs_a_count_that_does_not_look_ahead():
    """Segments of 1 or 3 tokens, even odds, mean 2. Second segment: after a short first one (a stop
    rule), against only if it will itself be short (which makes E[L] 2.5 instead of 3)."""
    rule = theory_length.theorem1_independent(
        [1.0, 3.0], [0.5, 0.5], longest=2, count=lambda segments: 2 if segments[0] == 1 else 1
    )
    assert (rule.left, rule.right) == (approx(3.0), approx(3.0))
    ahead = theory_length.theorem1_independent(
        [1.0, 3.0], [0.5, 0.5], longest=2, count=lambda segments: 2 if segments[1] == 1 else 1
    )
    assert (ahead.left, ahead.right) == (approx(2.5), approx(3.0))


# --- Theorem 2 ----------------------------------------------------------------------------------


def test_theorem2_is_false_for_the_hazard_of_the_response():
    """Every token is an HWE token and ends the response with 1/10: E[L] = 10, claimed >= 100."""
    chain = two_state_chain(constant(0.1))
    bounds = theory_length.theorem2(chain, theta=0.0)
    assert bounds.length == approx(10.0)
    assert bounds.count == approx(10.0)
    assert bounds.claimed_lower == approx(100.0)
    assert (bounds.lower, bounds.upper) == (approx(10.0), approx(20.0))


@quick
@given(
    seeds,
    st.floats(min_value=0.0, max_value=3.0),
    st.floats(min_value=0.001, max_value=1.0),
    st.floats(min_value=0.2, max_value=5.0),
)
def test_theorem2_bounds_of_a_falling_hazard(seed, theta, top, scale):
    bounds = theory_length.theorem2(random_chain(seed, falling(top, scale)), theta)
    assert bounds.lower - 1e-6 <= bounds.length <= bounds.upper + 1e-6
    if bounds.claimed_lower <= bounds.length and 0 < bounds.count < bounds.length:
        share = bounds.count / bounds.length
        assert bounds.length <= theory_length.longest_mean_length(share) * (1 + 1e-9)


def test_theorem2_needs_a_falling_hazard():
    """Hazard .001 on low tokens and .1 on high ones: E[L] is far above E[N_HE] + 1/lambda."""
    chain = two_state_chain(lambda entropy: np.where(entropy > 1, 0.1, 0.001), to_high=0.01)
    assert chain.length() > chain.count(theta=1.0) + 1 / 0.1
    with pytest.raises(UserError, match="falls with entropy"):
        theory_length.theorem2(chain, theta=1.0)


def test_longest_mean_length_literal():
    """5 % HWE tokens: 1 / (.05 * .95) = 21 tokens; at most any share allows is 4 from one half."""
    assert theory_length.longest_mean_length(0.05) == approx(21.0526, abs=1e-4)
    assert theory_length.longest_mean_length(0.5) == approx(4.0)


def test_segment_length_literal():
    assert theory_length.segment_length([0.1], limit=1000) == approx(10.0)
    assert theory_length.segment_length([0.0, 0.0, 1.0], limit=1000) == approx(3.0)
    assert theory_length.segment_length([0.1], limit=5) == approx((1 - 0.9**5) / 0.1)


@quick
@given(st.lists(st.floats(min_value=0.01, max_value=0.2), min_size=1, max_size=30))
def test_theorem2_holds_for_segments_whose_hazard_stays_below_lambda(hazard_K):
    assert theory_length.segment_length(hazard_K, limit=5000) >= 1 / max(hazard_K) - 1e-6


def test_theorem2_needs_the_low_hazard_in_all_of_the_segment_and_no_limit():
    """lambda = .1 at the opening token, .25 once the entropy has fallen: 1 + .9 * 4 tokens < 10."""
    assert theory_length.segment_length([0.1, 0.25], limit=1000) == approx(4.6)
    assert theory_length.segment_length([0.1], limit=10) < 10
