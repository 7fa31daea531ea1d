"""A language model without eyes, a tiny Llama, through every step: pass rates to two updates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ares.analysis.tokens import token_tables
from ares.answers.grader import Grader
from ares.coldstart.curate import curate, selected, with_pass_rates
from ares.coldstart.pass_rates import measure
from ares.coldstart.pool import pool, room_for_traces
from ares.coldstart.teachers import collect
from ares.config import Scale, load_config
from ares.data.countdown import Problem
from ares.data.items import Item
from ares.data.problems import choose_problems, problems_of
from ares.data.world import countdown_item
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.io import read_table
from ares.method.lexicon import load_lexicon
from ares.model.load import load_policy, load_processor
from ares.sampling.engine import sample
from ares.sampling.rollouts import Sampling, encode, roll_out
from ares.sampling.scoring import score
from ares.training.rollouts import EngineSampler
from ares.training.run import TrainingRun
from ares.training.sft import fine_tune
from tests.pipeline.small import write_scale

NUMBERS = [str(n) for n in range(19)]
WORDS = [
    *("<pad>", "<end>", "<unk>", "user", "assistant", "system", "\\boxed{", "}", "+", "=", "?"),
    *("<think>", "</think>", "wait", "so", *NUMBERS),
]
#: As language models have it: a content is text.
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ' ' + message['content'] + ' ' }}"
    "{% if message['role'] == 'assistant' %}{{ '<end>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)
SUMS = [(a, b) for a in range(1, 4) for b in range(1, 4)]


def write_llama(folder: Path) -> None:
    """Two layers, 32 wide, with a tokenizer of a word per token and no token to pad with."""
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", unk_token="<unk>", chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
            eos_token_id=1, bos_token_id=None, pad_token_id=None,
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(eos_token_id=1, do_sample=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_sums(folder: Path) -> None:
    """A data set of sums with traces, and its registry."""
    rows = [
        {
            "id": f"{a}+{b}",
            "question": f"{a} + {b} = ?",
            "answer": str(a + b),
            "trace": f"<think> {a} + {b} = {a + b} </think> \\boxed{{ {a + b} }}",
        }
        for a, b in SUMS
    ]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"id": "id", "question": "question", "answer": "answer", "trace": "trace"}
    entry = {"path": "sums.jsonl", "columns": columns, "answer": "number", "prompt": "{question}"}
    (folder / "sums.yaml").write_text(yaml.safe_dump({"benchmarks": {"sums": entry}}))


@pytest.fixture(scope="module")
def scale(tmp_path_factory) -> Scale:
    """Everything small, from the Llama and the sums."""
    folder = tmp_path_factory.mktemp("llama")
    write_llama(folder / "model")
    write_sums(folder)
    changes = {
        "model": str(folder / "model"),
        "training_data": [str(folder / "sums.yaml")],
        "benchmarks": [str(folder / "sums.yaml")],
        "cold_start.data": {"sums": 9},
        "cold_start.max_new_tokens": 16,
        "cold_start.size": 9,
        "cold_start.sft": {
            "batch": 3,
            "micro_batch": 3,
            "epochs": 60,
            "lr": 0.01,
            "max_length": 64,
        },
        "aepo.data": ["sums"],
        "aepo.pictures": "both",
        "aepo.steps": 2,
        "aepo.updates": 1,
        "aepo.max_new_tokens": 16,
    }
    return load_config(write_scale(folder / "llama.yaml", folder, **changes))


@pytest.fixture(scope="module")
def cold(scale, tmp_path_factory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """The cold start: its model and its tables."""
    folder = tmp_path_factory.mktemp("cold")
    chosen = choose_problems(scale, "cold-start")
    problems = problems_of(scale, chosen)
    rates = measure(scale, problems, folder / "rates.sqlite")
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
    tokens, top = token_tables(
        rollouts, problems.some(np.repeat(range(9), 2)), model, processor, load_world().language,
        load_lexicon(), 1.0, top_k=3, top_k_rollouts=4, batch_size=8,
    )  # fmt: skip
    assert len(tokens) == rollouts["n_tokens"].sum() and tokens["entropy"].notna().all()
    assert top["rollout_id"].nunique() == 4


def test_the_sampler_draws_from_the_models_own_distribution(cold):
    """Cache, slots and left padding change nothing: scoring, which has none of them, agrees."""
    model, processor = load_policy(cold[0])
    texts = "1 + 2 = ?", "so 3 + 3 = ? wait 3 + 3 = ?", "2 + 2 = ?"
    items = [Item("sums", text, [{"role": "user", "content": text}], None, text) for text in texts]
    prompts = encode(items, model, processor)
    alike = {"pad_token_id": 0, "temperature": 1.5, "samples_per_prompt": 4}
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
