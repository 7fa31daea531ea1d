"""Evaluation of a model: the same prompts for all, one threshold, and no trace of the batches."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ares.analysis.evaluation import PROMPT, evaluate
from ares.config import load_config
from ares.data.items import Problems
from ares.data.problems import choose_problems, problems_of
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.model.load import load_policy
from ares.sampling.rollouts import Sampling, roll_out
from tests.configs import changed

WORLD = load_world()
SMOKE = load_config("smoke")
CONFIG = changed(SMOKE, {"evaluation.per_level": 2, "evaluation.samples": 3})
SAMPLING = Sampling(
    samples=3, temperature=1.0, top_p=1.0, max_new_tokens=24, batch_prompts=5, seed=1
)


@pytest.fixture(scope="module")
def policy(model_folder):
    torch.set_num_threads(1)
    return load_policy(model_folder)


@pytest.fixture(scope="module")
def problems() -> Problems:
    return problems_of(CONFIG, choose_problems(CONFIG, "evaluation"))


@pytest.fixture(scope="module")
def own(policy, problems) -> pd.DataFrame:
    """An evaluation that takes the threshold from its own responses."""
    return evaluate(*policy, problems, SAMPLING)


def test_the_seed_decides_the_prompts_and_a_small_level_gives_those_it_has(problems):
    def names(config):
        return choose_problems(config, "evaluation")["problem_id"].tolist()

    assert names(CONFIG) == [item.id for item in problems.items]
    assert names(changed(CONFIG, {"seed": 2})) != names(CONFIG)
    shown = {"problems.levels": ["easy"], "problems.presentations": ["text"]}
    config = changed(CONFIG, {"evaluation.per_level": 100_000, **shown})
    assert 150 < choose_problems(config, "evaluation")["problem_id"].nunique() < 300


def test_the_numbers_are_those_of_the_rollouts(own, policy, problems):
    rows = list(own[PROMPT].itertuples(index=False, name=None))
    assert rows == [(item.id, item.benchmark) for item in problems.items]
    assert set(own["samples"]) == {3}
    # Counted again with plain loops over the rollouts themselves.
    rollouts = roll_out(*policy, problems, replace(SAMPLING, batch_prompts=len(problems)))
    windows = [
        [float(np.mean(entropy[t : t + 4])) for t in range(len(entropy) - 3)]
        for entropy in rollouts["entropy"]
    ]
    threshold = np.quantile(np.concatenate(windows), 0.95)
    rollouts["high"] = [sum(w >= threshold for w in each) for each in windows]
    rollouts["total"] = [float(entropy.sum()) for entropy in rollouts["entropy"]]
    groups = rollouts.groupby(PROMPT, sort=False)
    assert own["hwe_threshold"].to_numpy() == pytest.approx(threshold, abs=1e-4)
    assert own["correct"].tolist() == groups["correct"].sum().tolist()
    assert own["finished"].tolist() == groups["finished"].sum().tolist()
    assert own["n_tokens"].to_numpy() == pytest.approx(groups["n_tokens"].mean().to_numpy())
    per_token = (groups["total"].sum() / groups["n_tokens"].sum()).to_numpy()
    assert own["entropy"].to_numpy() == pytest.approx(per_token, rel=1e-4)
    # A window at the threshold itself may fall to either side: one count of three responses.
    assert np.abs(own["hwe"].to_numpy() - groups["high"].mean().to_numpy()).max() < 0.34
    assert own["hwe"].sum() == pytest.approx(groups["high"].mean().sum(), abs=0.34)


def test_rows_do_not_depend_on_how_many_prompts_share_a_batch(own, policy, problems):
    # A threshold of its own, no window of which lies at it.
    base = own.assign(hwe_threshold=own["hwe_threshold"] - 0.01)
    tables = [
        evaluate(*policy, problems, replace(SAMPLING, batch_prompts=size), base) for size in (5, 12)
    ]
    pd.testing.assert_frame_equal(*tables, rtol=1e-4)
    assert tables[0].drop(columns="entropy").equals(tables[1].drop(columns="entropy"))


def test_a_given_threshold_counts_and_a_table_has_one(own, policy, problems):
    none, every = (
        evaluate(*policy, problems.some([0, 1]), SAMPLING, own[:2].assign(hwe_threshold=value))
        for value in (1e9, 0.0)
    )
    assert (none["hwe"] == 0).all() and set(none["hwe_threshold"]) == {1e9}
    assert (every["hwe"] == every["n_tokens"] - 3).all()
    with pytest.raises(UserError, match="of other test problems than these"):
        evaluate(*policy, problems.some([0, 1]), SAMPLING, own)
    for table in (own.drop(columns="hwe_threshold"), own.assign(hwe_threshold=range(len(own)))):
        with pytest.raises(UserError, match=r"has \d+ thresholds"):
            evaluate(*policy, problems, SAMPLING, table)
