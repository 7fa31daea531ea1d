"""The causal effect with its noise correction, and the classes of a vocabulary."""

from __future__ import annotations

import numpy as np
import pytest

from ares.analysis.causal import effect_size
from ares.analysis.tokens import slots, vocabulary_classes
from ares.data.world_settings import load_world


def test_effect_by_hand():
    # Rates 1 and 0 in equal shares: SD 1/2, and no sampling noise to take off.
    assert effect_size(np.array([0.5, 0.5]), np.array([4, 0]), 4) == 0.5
    # Rates 3/4 and 1/4: variance 1/16, less 2 * 1/4 * (3/16) / 3 = 1/32.
    assert effect_size(np.array([0.5, 0.5]), np.array([3, 1]), 4) == pytest.approx(np.sqrt(1 / 32))


def test_equal_rates_have_no_effect():
    assert effect_size(np.array([0.2, 0.8]), np.array([2, 2]), 4) == 0.0


def test_an_improbable_alternative_weighs_little():
    rare = effect_size(np.array([0.98, 0.02]), np.array([8, 0]), 8)
    assert rare == pytest.approx(np.sqrt(0.98 * 0.02))


@pytest.mark.parametrize("rates", [(0.2, 0.8), (0.1, 0.5), (0.4, 0.9)])
def test_the_correction_removes_the_noise_of_simulated_binomials(rates):
    rng, weight, n = np.random.default_rng(0), np.array([0.3, 0.7]), 8
    true = weight @ np.square(np.array(rates) - weight @ np.array(rates))
    passed = rng.binomial(n, rates, size=(4000, 2))
    share = passed / n
    naive = (weight * np.square(share - (share @ weight)[:, None])).sum(1)
    corrected = [effect_size(weight, row, n) ** 2 for row in passed]
    # Cutting at zero leaves a little of the bias where noise exceeds the effect.
    assert np.mean(corrected) == pytest.approx(true, rel=0.05)
    assert np.mean(naive) > 1.1 * true


def test_noise_alone_gives_small_effects():
    rng, weight, n = np.random.default_rng(0), np.array([0.5, 0.5]), 16
    passed = rng.binomial(n, 0.5, size=(2000, 2))
    effects = np.array([effect_size(weight, row, n) for row in passed])
    assert np.mean(effects == 0) > 0.5


def test_words_of_a_slot_share_a_class_and_every_other_token_is_one():
    language = load_world().language
    words = ["<pad>", "okay", "ĠWell", "wait", "however", "7", "vs", "try"]
    classes = vocabulary_classes(words, language)
    names = slots(language)
    assert classes[[1, 2]].tolist() == [names.index("filler")] * 2
    assert classes[[3, 4]].tolist() == [names.index("back")] * 2
    assert classes[7] == names.index("plan")
    others = classes[[0, 5, 6]]
    assert len(set(others)) == 3 and others.min() == len(names)
