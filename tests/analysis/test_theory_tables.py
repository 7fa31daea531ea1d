"""The random checks and the curves of the theory, by what must come out of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import theory_checks, theory_curves
from ares.analysis.fisher_case import FisherCase

CASES = 20


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_what_is_an_identity_holds_in_every_case(rng):
    assert theory_checks.lemma1(rng, CASES) == 1.0
    assert theory_checks.proposition1(rng, CASES)[0] == 1.0
    assert theory_checks.lemma2(rng, CASES)[:2] == (1.0, 1.0)
    assert theory_checks.donsker_varadhan(rng, CASES) == (0, True)
    assert theory_checks.theorem1(rng, CASES) == 1.0
    assert theory_checks.printed_reward(rng, CASES) == (0.0, 0.0)


def test_the_sign_of_proposition_1_is_not_given(rng):
    _, fell = theory_checks.proposition1(rng, 100)
    assert 0 < fell < 1


def test_bounds_of_lemma_3_are_kept_and_the_one_by_the_range_is_tighter(rng):
    found = theory_checks.lemma3(rng, CASES).set_index("bound")
    assert found["violated"].sum() == 0
    assert found.loc["by_range", "median"] > found.loc["by_lemma3", "median"]


def test_theorem_2_is_violated_and_our_bounds_are_not(rng):
    claimed, lower, upper = theory_checks.theorem2(rng, CASES)
    assert claimed > 0.5 and (lower, upper) == (0, 0)


def test_the_quadratic_form_is_off_in_third_order_and_only_at_the_reference(rng):
    case = FisherCase.random(rng)
    error, rise = case.lemma4()
    assert case.order(error) == pytest.approx(3, abs=0.1)
    assert case.order(rise) == pytest.approx(1, abs=0.1)
    assert case.over_model(1000) == pytest.approx(1, abs=0.01)


def test_at_one_kappa_a_smaller_weight_gains_and_at_equal_kl_it_does_not(rng):
    gains = FisherCase.random(rng).corollary1()
    assert gains["window, one kappa"][0] > 1 > gains["window, equal KL"][0]
    assert {values[-1] for values in gains.values()} == {1.0}


@pytest.fixture(scope="module")
def budget() -> pd.DataFrame:
    return theory_curves.budget()


def series(data, panel: str, name: str) -> np.ndarray:
    return data[(data["panel"] == panel) & (data["series"] == name)]["y"].to_numpy()


def test_the_controller_settles_below_its_limit_and_swings_above_it(budget):
    slow = series(budget, "Controller (eq. 27)", "gain 0.2")
    fast = series(budget, "Controller (eq. 27)", "gain 1.2")
    assert slow[0] == 1.5 and slow[-1] == pytest.approx(1, abs=0.01)
    assert np.ptp(fast[-2:]) > 1


def test_duality_has_a_gap_with_an_entropy_penalty_only(budget):
    for panel, largest in (("Lemma 2, fixed reward", 1e-6), ("Lemma 2, entropy penalised", 1)):
        gap = series(budget, panel, "dual") - series(budget, panel, "primal")
        assert gap.min() > -1e-6 and gap.max() <= largest
    assert gap.max() > 0.1


def test_curves_of_variance_meet_where_the_condition_holds():
    data = theory_curves.variance()
    centred = series(data, "Lemma 1, two prompts", "Var(R_i - mean R)")
    formula = series(data, "Lemma 1, two prompts", "(1 - 1/N) Var(R)")
    assert centred[0] == pytest.approx(formula[0]) == pytest.approx(7 / 32)
    assert centred[-1] == pytest.approx(0) and (formula == pytest.approx(7 / 32))
    assert series(data, "Proposition 1", "Cov(S, K) > 0").min() < 0


def test_length_falls_with_hwe_tokens_where_easier_problems_are_denser():
    data = theory_curves.theorem1().set_index("series")
    rising, falling = (
        data.loc[name] for name in ("hazard falls with entropy", "easier problems, denser")
    )
    assert (np.diff(rising["y"]) / np.diff(rising["x"]) > 0).all()
    assert (np.diff(falling["y"]) / np.diff(falling["x"]) < 0).all()


def test_the_mean_length_lies_between_our_bounds_and_below_the_claimed_one():
    data = theory_curves.theorem2()
    length = series(data, "Theorem 2", "E[L]")
    assert (series(data, "Theorem 2", "our lower bound") <= length + 1e-9).all()
    assert (series(data, "Theorem 2", "our upper bound") >= length).all()
    assert (series(data, "Theorem 2", "claimed: E[L] is above")[0] > length[0]).all()


def test_the_bound_of_donsker_and_varadhan_touches_the_mean():
    data = theory_curves.shift()
    gap = series(data, "Donsker-Varadhan", "bound") - series(data, "Donsker-Varadhan", "E f")
    assert 0 <= gap.min() < 0.05
