"""Small tables in which the truth is planted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ares.analysis.findings import Run, load_rules
from ares.config import Scale, load_config
from tests.configs import changed

LEVELS = {"easy": 2, "medium": 3, "hard": 4}
PROBLEMS = 12  # of every level
PASS_RATE = {"easy": 6 / 8, "medium": 4 / 8, "hard": 2 / 8}


@pytest.fixture(scope="session")
def rules():
    return load_rules()


@pytest.fixture(scope="session")
def settings() -> Scale:
    return changed(load_config("smoke"), {"bootstrap": {"resamples": 200, "level": 0.5}})


@pytest.fixture
def run_of(settings, rules):
    """A run over tables that are given."""

    def build(**tables: pd.DataFrame) -> Run:
        return Run(tables.__getitem__, settings, rules)

    return build


def model(
    arm: str, seed: int, accuracy: Mapping[str, float], length: Mapping[str, float], noise=0.0
) -> pd.DataFrame:
    """The evaluation of a model whose accuracy (of 100 samples) and length depend on the level."""
    rng = np.random.default_rng([seed, *arm.encode()])
    rows = []
    for level, number, presentation in product(LEVELS, range(PROBLEMS), ("text", "image")):
        wobble = rng.normal(0, noise) if noise else 0.0
        rows.append(
            {
                "arm": arm,
                "seed": seed,
                "problem_id": f"{level}-{number}",
                "level": level,
                "presentation": presentation,
                "samples": 100,
                "correct": round(100 * (accuracy[level] + wobble)),
                "n_tokens": length[level] + 100 * wobble,
                "hwe": length[level] / 10,
            }
        )
    return pd.DataFrame(rows)


def flat(value: float) -> dict[str, float]:
    return dict.fromkeys(LEVELS, value)


def curve(arm: str, seed: int, **metrics: np.ndarray) -> pd.DataFrame:
    """The training records of a run: one value per metric and batch."""
    rows = [
        {"arm": arm, "seed": seed, "step": step, "metric": name, "bucket": "all", "value": value}
        for name, values in metrics.items()
        for step, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows)


@cache
def base_tables(sign: int) -> dict[str, pd.DataFrame]:
    """Rollouts and tokens of a base; with sign 1 they are as the paper says, with -1 the reverse.

    Tokens have no entropy, but for episodes of twelve that open a rollout and lone spikes, higher
    still, that end it. As the paper says: the episodes are marked, and single tokens take the
    spikes for them. The reverse: the spikes are marked.
    """
    rollouts, tokens = [], []
    for level, number in product(LEVELS, range(PROBLEMS)):
        for sample in range(8):
            right = sample < 8 * PASS_RATE[level]
            long = level != "easy" if right == (sign == 1) else level == "easy"
            grade = {"easy": 0, "medium": 1, "hard": 2}[level] * sign
            n_tokens = 200 + 30 * grade + 20 * long + number
            rollouts.append(
                {
                    "rollout_id": len(rollouts),
                    "problem_id": f"{level}-{number}",
                    "level": level,
                    "presentation": "text",
                    "sample": sample,
                    "correct": right,
                    "n_tokens": n_tokens,
                }
            )
            tokens.append(_tokens(rollouts[-1], sign, long))
    base = {"rollouts": pd.DataFrame(rollouts), "tokens": pd.concat(tokens, ignore_index=True)}
    causal = base["tokens"][["rollout_id", "position"]].assign(causal=base["tokens"]["lexicon"])
    return {**base, "causal": causal}


def _tokens(rollout: dict, sign: int, long: bool) -> pd.DataFrame:
    length = rollout["n_tokens"]
    entropy, episode, spike = np.zeros(length), np.zeros(length, bool), np.zeros(length, bool)
    for begin in (0, 24) if long else (0,):
        entropy[begin : begin + 12] = 3
        episode[begin : begin + 12] = True
    spike[length - 120 :: 4] = True
    entropy[spike] = 6
    marked = episode if sign == 1 else spike
    columns = {"entropy": entropy, "lexicon": marked, "decision": np.where(marked, "pair", "")}
    same = {name: rollout[name] for name in ("rollout_id", "problem_id", "level", "presentation")}
    return pd.DataFrame({"position": np.arange(length), **columns}).assign(**same)


@pytest.fixture(scope="session")
def planted() -> SimpleNamespace:
    """What builds the tables."""
    return SimpleNamespace(
        base=lambda sign: dict(base_tables(sign)), model=model, curve=curve, flat=flat
    )
