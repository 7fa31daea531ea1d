"""The chain rule for lexical noise against entropies computed directly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ares.analysis import noise
from ares.world.language import zipf
from ares.world.settings import load_world

LANGUAGE = load_world().language


def entropy(probability) -> float:
    probability = np.asarray(probability)
    return float(-(probability * np.log(probability)).sum())


def one_token(language) -> pd.DataFrame:
    """A token that is a filler (.5), a plan marker (.2), or one of two other words (.2, .1)."""
    words = [*(0.5 * zipf(len(language.fillers), language.filler_exponent))]
    words += [*(0.2 * zipf(len(language.words("plan")), language.marker_exponent)), 0.2, 0.1]
    row = {"entropy": entropy(words), "class_entropy": entropy([0.5, 0.2, 0.2, 0.1])}
    return pd.DataFrame([row | {"p_filler": 0.5, "p_plan": 0.2, "p_back": 0.0}])


def test_zipf_entropy_at_its_ends():
    assert noise.zipf_entropy(6, 0.0) == pytest.approx(np.log(6))
    assert noise.zipf_entropy(6, 50.0) == pytest.approx(0, abs=1e-12)
    assert noise.zipf_entropy(1, 1.0) == 0


def test_chain_rule_equals_the_direct_entropy_at_the_models_language():
    token = one_token(LANGUAGE)
    assert noise.entropy_under(token, LANGUAGE) == pytest.approx(token["entropy"].to_numpy())
    token = pd.concat([token, token.assign(entropy=1.0, class_entropy=1.0, p_filler=0, p_plan=0)])
    error = noise.chain_rule_error(token, LANGUAGE)
    assert error["largest"] < 1e-6 and error["share_of_tokens"] == 0.5


@pytest.mark.parametrize("filler, marker", [(0.0, 0.0), (2.0, 0.5), (5.0, 5.0)])
def test_chain_rule_equals_the_direct_entropy_under_another_language(filler, marker):
    other = replace(LANGUAGE, filler_exponent=filler, marker_exponent=marker)
    predicted = noise.entropy_under(one_token(LANGUAGE), other)
    assert predicted == pytest.approx(one_token(other)["entropy"].to_numpy())


def test_the_error_is_reported_when_the_model_has_not_learned_the_language():
    token = one_token(LANGUAGE)
    sure = token.assign(class_entropy=0.2, p_filler=0.0, p_plan=0.0, entropy=0.2)
    tokens = pd.concat([token.assign(entropy=token["entropy"] - 0.3), sure])
    error = noise.chain_rule_error(tokens, LANGUAGE)
    assert error["mean"] == pytest.approx(0.3) and error["largest"] == pytest.approx(0.3)


def test_gains_depend_on_the_noise(make_tokens, plain):
    # The labelled token has half a nat of its own; every second token is a filler.
    class_entropy = [0.5] + [0.0] * 19
    tokens = make_tokens([0.0] * 20, class_entropy=class_entropy, p_filler=[0.0, 1.0] * 10)
    sets = [(tokens, {"x": np.array([True] + [False] * 19)})]
    exponents = {"filler": [0.0, 60.0], "marker": [1.0]}
    found = noise.gains(sets, LANGUAGE, exponents, [50, 99], plain(tokens))
    # Six equal fillers, 1.79 nats, hide it from single tokens; without noise it stands alone.
    assert found["f1_single"].tolist() == [0.0, 1.0]
