"""Figure 2a: F1 by hand, ties, incomplete windows, label sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import detection
from ares.errors import UserError


def detect(tokens, label, percentiles, resampler, window=None):
    window = tokens["entropy"].to_numpy() if window is None else np.array(window)
    labels = {"x": np.array(label)}
    return detection.detect(window, labels, tokens["problem_id"], percentiles, resampler)["x"]


def test_f1_precision_and_recall_by_hand(make_tokens, plain):
    tokens = make_tokens([0.0, 1.0, 2.0, 3.0, 4.0])
    # Percentile 50 is 2.0: three tokens are selected, two of them labelled; three are labelled.
    found = detect(tokens, [True, False, False, True, True], [50], plain(tokens))
    rates = (found.precision_RQ, found.recall_RQ, found.f1_RQ)
    assert [rate.item() for rate in rates] == pytest.approx([2 / 3] * 3)
    assert found.selected_RQ.item() == 3
    # The percentile is taken over all rollouts together, and ties at the threshold are selected.
    tokens = make_tokens([0.0, 1.0], [10.0, 11.0])
    assert detect(tokens, [False, False, True, True], [50], plain(tokens)).f1_RQ.item() == 1.0
    tokens = make_tokens([0.0, 1.0, 1.0, 1.0])
    found = detect(tokens, [False, True, True, False], [90], plain(tokens))
    assert found.selected_RQ.item() == 3 and found.recall_RQ.item() == 1.0


def test_an_undefined_window_is_never_selected_but_its_label_counts(make_tokens, plain):
    tokens = make_tokens([1.0, 2.0, 3.0, 4.0])
    window = [1.0, 2.0, 3.0, np.nan]
    found = detect(tokens, [False, False, True, True], [0, 100], plain(tokens), window)
    assert found.selected_RQ.tolist() == [[3, 1]]
    assert found.labelled_R1.item() == 2 and found.tokens_R1.item() == 4
    assert found.recall_RQ.tolist() == [[0.5, 0.5]]
    unlabelled = detect(tokens, [False] * 4, [50], plain(tokens))
    assert np.isnan(unlabelled.recall_RQ).all()


def test_resampled_counts_are_those_of_the_repeated_problems(make_tokens):
    tokens = make_tokens([0.0, 5.0], [1.0, 4.0], [2.0, 3.0])
    label = np.array([False, True, True, False, False, True])
    level = pd.Series("easy", tokens.index)
    resampler = detection.Resampler(tokens["problem_id"], level, 5, 0.95, 0)
    found = detect(tokens, label, [50], resampler)
    # At the median, 2.5, the tokens 5, 4 and 3 are selected; 5 and 3 are labelled.
    assert (found.hits_RQ[:, 0] == resampler.draws_RC @ [1, 0, 1]).all()
    assert (found.labelled_R1[:, 0] == resampler.draws_RC @ [1, 1, 1]).all()


def test_sweep_averages_windows_and_the_choice_for_incomplete_ones_matters(make_tokens, plain):
    tokens = make_tokens([0.0, 0.0, 6.0])
    sets = [(tokens, {"x": np.array([False, False, True])})]
    shorter = detection.sweep(sets, [1, 2], [50], plain(tokens))
    assert shorter["x"][1].recall_RQ.item() == 1.0
    assert shorter["x"][2].selected_RQ.item() == 2  # windows 0, 3, 6
    undefined = detection.sweep(sets, [2], [50], plain(tokens), incomplete="undefined")
    assert undefined["x"][2].recall_RQ.item() == 0.0


def test_the_label_sets(make_tokens):
    tokens = make_tokens([1.0, 2.0], [3.0], lexicon=[True, False, False], decision=["", "pair", ""])
    causal = pd.DataFrame({"rollout_id": [1], "position": [0], "causal": [True]})
    (everywhere, labels), (tried, effects) = detection.label_sets(tokens, causal)
    assert len(everywhere) == 3 and len(tried) == 1
    assert labels["lexicon"].tolist() == [True, False, False]
    assert labels["decision"].tolist() == [False, True, False]
    assert effects["causal"].tolist() == [True]
    with pytest.raises(UserError, match="do not cover"):
        detection.label_sets(tokens, causal.assign(rollout_id=0))


def test_claims_are_differences_of_mean_f1(make_tokens, plain):
    tokens = make_tokens([float(i) for i in range(8)])
    resampler = plain(tokens)
    label = [False] * 7 + [True]
    windows = {1: np.arange(8.0), 4: np.arange(8.0)[::-1], 8: np.arange(8.0)[::-1]}
    windows |= {16: np.arange(8.0), 32: np.arange(8.0)}
    found = {w: detect(tokens, label, [50, 90], resampler, values) for w, values in windows.items()}
    claims = detection.claims(found, [50, 90], resampler)
    # Single tokens select the label alone at the 90th percentile, the windows 4 and 8 miss it.
    assert claims["windows 4-8 beat single tokens from the 90th percentile on"].value == -1.0
    assert claims["windows 4-8 beat windows 16-32 at high percentiles"].value == -1.0


@pytest.mark.parametrize(
    ("values", "percentiles", "message"),
    [([1.0], [90, 50], "rising"), ([1.0], [50, 50], "rising"), ([np.nan], [50], "shorter than")],
)
def test_thresholds_need_rising_percentiles_and_a_complete_window(values, percentiles, message):
    with pytest.raises(UserError, match=message):
        detection.thresholds(np.array(values), percentiles)
