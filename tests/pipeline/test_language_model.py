"""A language model without eyes, a tiny Llama, through every step: pass rates to two updates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ares.analysis.tokens import token_tables
from ares.coldstart.curate import curate, pass_rates, selected, with_pass_rates
from ares.coldstart.teachers import collect, pool, room_for_traces
from ares.config import Scale, load_config
from ares.data.countdown import Problem
from ares.data.items import Item
from ares.data.problems import choose_problems, problems_of
from ares.data.world import countdown_item
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.io import read_table
from ares.method.lexicon import load_lexicon
from ares.model.load import load_policy, load_processor
from ares.sampling.engine import sample
from ares.sampling.rollouts import Sampling, encode, responses, roll_out
from ares.sampling.scoring import score
from ares.training.rollouts import EngineSampler
from ares.training.run import TrainingRun
from ares.training.sft import fine_tune
from tests.pipeline.llama import write


@pytest.fixture(scope="module")
def scale(tmp_path_factory) -> Scale:
    """Everything small, from the Llama and the sums."""
    folder = tmp_path_factory.mktemp("llama")
    return load_config(write(folder))


@pytest.fixture(scope="module")
def cold(scale, tmp_path_factory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """The cold start: its model and its tables."""
    folder = tmp_path_factory.mktemp("cold")
    chosen = choose_problems(scale, "cold-start")
    problems = problems_of(scale, chosen)
    asked = scale.cold_start, problems, scale.model, folder / "rates.sqlite"
    rates = pass_rates(problems.table, responses(scale, *asked), scale.cold_start.samples)
    found = collect(scale, problems, folder / "traces.sqlite")
    room = room_for_traces(scale, chosen)
    kept, _ = pool(problems.table, found, load_processor(scale.model), room)
    part = scale.cold_start
    selection, _ = curate(with_pass_rates(kept, rates), part.size, part.samples, scale.seed)
    written = folder / "model", folder / "losses.parquet"
    fine_tune(scale, selected(selection, "adacs"), folder / "state", *written)
    losses = read_table(folder / "losses.parquet")
    return folder / "model", {"rates": rates, "pool": kept, "losses": losses}


def test_the_cold_start_teaches_it_to_add(scale, cold):
    _, tables = cold
    assert len(tables["rates"]) == len(tables["pool"]) == 9
    assert tables["rates"]["pass_rate"].mean() < 0.5
    losses = tables["losses"]["loss"]
    assert losses.iloc[0] > 2 and losses.iloc[-1] < 0.3


def test_rollouts_and_their_token_table(scale, cold):
    model, processor = load_policy(cold[0])
    problems = problems_of(scale, choose_problems(scale, "aepo"))
    sampling = Sampling(2, 1.0, 1.0, 16, batch_prompts=4, seed=1)
    rollouts = roll_out(model, processor, problems, sampling)
    assert len(rollouts) == 18 and rollouts["correct"].mean() > 0.5
    assert set(rollouts["source"]) == {"sums"}
    rollouts.insert(0, "rollout_id", np.arange(18))
    asked = problems.some(np.repeat(range(9), 2)), model, processor, None, load_lexicon(), 1.0
    tokens, top = token_tables(rollouts, *asked, top_k=3, top_k_rollouts=4, batch_size=8)
    assert len(tokens) == rollouts["n_tokens"].sum() and tokens["entropy"].notna().all()
    assert top["rollout_id"].nunique() == 4
    # Without a grammar no decisions and slots; without a sampler's entropies those of the model.
    assert {"decision", "slot", "class_entropy"}.isdisjoint(tokens)
    read, _ = token_tables(rollouts.drop(columns=["entropy", "logprob"]), *asked, top_k=3)
    pd.testing.assert_frame_equal(read, tokens, rtol=1e-4, atol=1e-4)


def test_the_sampler_draws_from_the_models_own_distribution(cold):
    """Cache, slots and left padding change nothing: scoring, which has none of them, agrees."""
    model, processor = load_policy(cold[0])
    texts = "1 + 2 = ?", "so 3 + 3 = ? wait 3 + 3 = ?", "2 + 2 = ?"
    items = [Item("sums", text, [{"role": "user", "content": text}], None, text) for text in texts]
    prompts = encode(items, model, processor)
    alike = {"temperature": 1.5}
    drawn = sample(model, prompts, max_new_tokens=12, eos_token_ids=[1], seeds=range(12), **alike)
    assert len({len(one.token_ids) for one in drawn}) > 1
    scored = score(model, prompts, [one.token_ids for one in drawn], **alike)
    for one, read in zip(drawn, scored, strict=True):
        torch.testing.assert_close(one.logprobs, read.logprobs, atol=1e-5, rtol=0)
        torch.testing.assert_close(one.entropies, read.entropies, atol=1e-5, rtol=0)


@pytest.mark.parametrize("ours", [True, False])
def test_two_steps_of_aepo(scale, cold, tmp_path, ours):
    with Grader() as grader:
        prompts = choose_problems(scale, "aepo")
        run = TrainingRun(scale, "ares", 1, prompts, cold[0], tmp_path / "state", grader)
        if ours:
            run.trainer.sampler = EngineSampler()
        run.train()
        run.save(tmp_path / "model")
    steps = run.tables()["steps"]
    assert set(steps["step"]) == {1, 2} and "ungradable" in set(steps["metric"])
    before, after = (load_policy(m)[0].state_dict() for m in (cold[0], tmp_path / "model"))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    told = json.loads((tmp_path / "model/config.json").read_text())
    assert told["architectures"] == ["LlamaForCausalLM"]


def test_pictures_are_refused(cold):
    model, processor = load_policy(cold[0])
    with pytest.raises(UserError, match="has a picture, and the model reads none"):
        encode([countdown_item(Problem((2, 3), 5), "image")], model, processor)
