"""Figure 2a: F1 by hand, ties, incomplete windows, label sets, and the causal effect."""

import numpy as np
import pandas as pd
import pytest

from ares.analysis import detection
from ares.analysis.causal import effect_size
from ares.analysis.tokens import slots, vocabulary_classes
from ares.data.world_settings import load_world
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


@pytest.mark.parametrize(
    ("values", "percentiles", "message"),
    [([1.0], [90, 50], "rising"), ([1.0], [50, 50], "rising"), ([np.nan], [50], "shorter than")],
)
def test_thresholds_need_rising_percentiles_and_a_complete_window(values, percentiles, message):
    with pytest.raises(UserError, match=message):
        detection.thresholds(np.array(values), percentiles)


def test_effect_by_hand():
    # Rates 1 and 0 in equal shares: SD 1/2, and no sampling noise to take off.
    assert effect_size(np.array([0.5, 0.5]), np.array([4, 0]), 4) == 0.5
    # Rates 3/4 and 1/4: variance 1/16, less 2 * 1/4 * (3/16) / 3 = 1/32.
    assert effect_size(np.array([0.5, 0.5]), np.array([3, 1]), 4) == pytest.approx(np.sqrt(1 / 32))
    assert effect_size(np.array([0.2, 0.8]), np.array([2, 2]), 4) == 0.0
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
