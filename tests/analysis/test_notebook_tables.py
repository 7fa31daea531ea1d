"""The small tables that notebooks 01 to 06 print and draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.analysis import detection, deviation_steps, difficulty, length, noise, stats, words, world
from ares.method.lexicon import load_lexicon
from ares.world.settings import load_world


@pytest.fixture
def rollouts() -> pd.DataFrame:
    """Two easy and two hard problems as text, 8 rollouts each: 8, 4, 1 and 0 of them right."""
    rows = []
    for problem, level, right in (
        ("a", "easy", 8),
        ("b", "easy", 4),
        ("c", "hard", 1),
        ("d", "hard", 0),
    ):
        for i in range(8):
            rows.append((problem, level, "text", i < right, 10 + i))
    columns = ["problem_id", "level", "presentation", "correct", "n_tokens"]
    table = pd.DataFrame(rows, columns=columns).assign(rollout_id=range(32), finished=True)
    return table.assign(right=table["correct"].astype(float))


def resampler(rollouts: pd.DataFrame) -> stats.Resampler:
    return stats.Resampler(rollouts["problem_id"], rollouts["level"], 50, 0.95, 0)


def test_examples_are_the_first_of_every_level_in_both_presentations():
    problems = pd.DataFrame(
        {
            "level": ["easy", "easy", "easy", "hard"],
            "presentation": ["image", "text", "image", "image"],
            "numbers": [(8, 3), (8, 3), (9, 2), (1, 2, 3)],
            "target": [11, 11, 7, 6],
        }
    )
    found = world.examples(problems, per_level=1)
    assert found["numbers"].tolist() == ["8 3", "1 2 3"]
    assert found["text"].tolist() == ["numbers 8 3 target 11", "numbers 1 2 3 target 6"]
    assert found["image"].tolist() == ["cards target 11", "cards target 6"]


def test_typical_responses_are_of_middle_length_right_and_wrong(rollouts):
    found = [(row.level, row.correct, row.n_tokens) for row in world.typical(rollouts)]
    # 12 easy ones are right (10 to 17 and 10 to 13 tokens), 4 wrong (14 to 17); one hard one right.
    assert found == [
        ("easy", True, 13),
        ("easy", False, 16),
        ("hard", True, 10),
        ("hard", False, 14),
    ]


def test_groups_fall_into_the_buckets_of_eq_10(rollouts):
    counts = world.bucket_counts(rollouts)
    assert counts.loc["easy"].tolist() == [1, 1, 0]
    assert counts.loc["hard"].tolist() == [0, 0, 2]
    accuracy = stats.means(resampler(rollouts), rollouts, "right", ["level", "presentation"])
    data = world.pass_rate_panels(accuracy, counts)
    shares = data[data["panel"] == "share of groups"].set_index(["level", "bucket"])
    assert shares.loc[("easy", "medium"), "value"] == 0.5 and set(shares["rows"]) == {2}
    assert data.loc[data["panel"] == "pass rate", "value"].tolist() == [0.75, 1 / 16]


def test_what_there_is_in_a_bucket(rollouts):
    table = difficulty.add_buckets(rollouts).assign(hwe_count=rollouts["n_tokens"] - 10)
    found = difficulty.overview(table).set_index("bucket")
    assert found.loc["hard", ["prompts", "rollouts", "right", "mean_hwe"]].tolist() == [
        2,
        16,
        1,
        3.5,
    ]
    assert list(found.index) == ["easy", "medium", "hard"]


def test_the_papers_numbers_stand_beside_ours_where_it_has_them():
    row = {"panel": "i", "condition": "all", "low": 0.0, "high": 1.0, "rollouts": 4}
    both = pd.DataFrame(
        [
            {**row, "difficulty": "easy", "value": 0.5, "source": "ours"},
            {**row, "difficulty": "medium", "value": 0.4, "source": "ours"},
            {**row, "difficulty": "easy", "value": 0.9, "source": "printed"},
        ]
    )
    found = difficulty.beside(both)
    assert found[["difficulty", "value", "paper"]].to_numpy().tolist() == [["easy", 0.5, 0.9]]


def test_bins_of_few_problems_are_left_out(rollouts):
    table = rollouts.assign(hwe_count=[0] * 31 + [9], length=rollouts["n_tokens"].astype(float))
    found = length.binned(table, resampler(rollouts), least=2)
    assert found[["hwe_count", "rollouts"]].to_numpy().tolist() == [[0, 16], [0, 15]]
    assert found["value"].tolist() == [13.5, pytest.approx(13.5 - 3.5 / 15)]


def test_the_best_percentile_of_a_window():
    rows = {"label": "x", "window": [1, 1, 4], "percentile": [50, 90, 50], "f1": [0.2, 0.3, 0.1]}
    curves = pd.DataFrame(rows).assign(low=0, high=1, precision=0, recall=0)
    assert detection.best(curves)["percentile"].tolist() == [90, 50]


def test_kinds_of_token_share_them_out():
    texts = ["wait", "well", " 12", " + ", "="]
    tokens = pd.DataFrame({"token": texts, "lexicon": [True, *[False] * 4]})
    found = words.kinds(tokens.assign(slot=["contrast", "filler", "", "", ""]))
    assert np.array(list(found.values())).T.tolist() == np.eye(5, dtype=bool).tolist()


def test_words_are_ranked_by_mean_entropy_and_kept_by_the_lexicon():
    tokens = pd.DataFrame(
        {"token": ["wait", "wait", "card", "card", "so"], "entropy": [1.0, 3.0, 2.5, 2.5, 9.0]}
    )
    found = words.ranked(tokens, load_lexicon(), min_count=2)
    assert found["token"].tolist() == ["card", "wait"]
    assert found["entropy"].tolist() == [2.5, 2.0]
    assert found["kept"].tolist() == [False, True]
    assert found["category"].tolist() == ["none", "contrast"]


def test_what_windows_are_worth_in_the_shipped_language_and_in_others():
    language = load_world("config/world.yaml").language
    own = language.filler_exponent
    grid = pd.DataFrame(
        {
            "label": "lexicon",
            "filler_exponent": [own, own + 1, own + 2],
            "marker_exponent": language.marker_exponent,
            "verdict": ["fails", "holds", "undecided"],
        }
    )
    assert noise.summary(grid, language) == [
        "lexicon: fails for the shipped language; over the grid: fails, holds"
    ]
    assert own in noise.grid_of(language)["filler"]


def test_bars_know_whose_definition_they_show():
    definitions = pd.DataFrame(
        {"definition": ["main text", "App. H", "released", "ares"], "threshold": 1.0, "share": 0.1}
    )
    counts = pd.DataFrame(
        {"definition": ["Alg. 1: high window", "released: high window"], "mean_count": [4.0, 1.0]}
    )
    pairs = pd.DataFrame({"preset": ["paper"], "inverted": [0.0], "pairs": [3], "margin": [1.0]})
    rewards = pd.DataFrame({"version": ["as shipped"], "name": ["easy"], "value": [0.1]})
    numbers = {"1 entropy": {"shift": -0.01}}
    found = deviation_steps.panels(definitions, counts, pairs, rewards, numbers)
    source = found.groupby("panel")["source"].agg(list)
    assert source["threshold"] == ["paper", "paper", "released", "ares"]
    assert source["N_HE"] == ["paper", "released"]
    assert found.loc[found["section"] == "1 entropy", ["name", "value"]].values.tolist() == [
        ["shift", -0.01]
    ]
