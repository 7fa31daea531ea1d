"""Fine-tuning: the labels are those of the base corpus, the vision tower rests, runs repeat."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from ares.base.corpus import Example, collate
from ares.coldstart.pass_rates import training_tasks
from ares.coldstart.pool import build_pool
from ares.coldstart.teachers import SmallWorldTeachers
from ares.coldstart.tune import build_trainer, fine_tune
from ares.config import load_config
from ares.io import read_json
from ares.model.load import load_policy
from ares.model.save import publish
from ares.model.tiny import build_tokenizer
from ares.world.problem import Problem
from ares.world.settings import load_world
from tests.configs import changed

WORLD = load_world()
SETTINGS = {"epochs": 2, "batch": 4, "lr": 0.01, "freeze_vision": True}


@pytest.fixture(scope="module")
def selection() -> pd.DataFrame:
    """Ten traces of mixed levels and lengths, half of them of pictures."""
    source = SmallWorldTeachers(WORLD, 1, seed=0)
    tasks = training_tasks(changed(load_config("smoke"), {"cold_start.per_level": 3}), WORLD)
    pool = build_pool(tasks, source, build_tokenizer(WORLD), WORLD, 150).traces
    return pd.concat([part.iloc[:5] for _, part in pool.groupby("presentation")]).sample(
        frac=1, random_state=0, ignore_index=True
    )


@pytest.fixture
def policy(model_folder):
    return load_policy(model_folder)


@pytest.mark.parametrize("presentations", [("text", "image"), ("text",), ("image",)])
def test_ids_and_labels_are_those_of_the_base_corpus(policy, selection, presentations, tmp_path):
    model, processor = policy
    chosen = selection[selection["presentation"].isin(presentations)]
    trainer = build_trainer(model, processor, chosen, SETTINGS, 5, tmp_path)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(chosen))])
    expected = collate(
        [
            Example(Problem(tuple(row.numbers), row.target), row.presentation, row.text)
            for row in chosen.itertuples()
        ],
        processor,
        seed=5,
    )
    assert expected.keys() == batch.keys()
    for name, tensor in expected.items():
        assert torch.equal(torch.as_tensor(batch[name]).to(tensor.dtype), tensor), name
    # The loss is on the response and its end: as many tokens as the pool counted.
    assert (batch["labels"] != -100).sum(1).tolist() == chosen["n_tokens"].tolist()


def test_batches_hold_similar_lengths_and_both_presentations(policy, selection, tmp_path):
    many = pd.concat([selection] * 20, ignore_index=True)
    trainer = build_trainer(*policy, many, {**SETTINGS, "batch": 8}, 0, tmp_path)
    widths = [batch["input_ids"].shape for batch in trainer.get_train_dataloader()]
    padded = sum(rows * width for rows, width in widths)
    in_a_row = [many["n_tokens"].iloc[i : i + 8] for i in range(0, len(many), 8)]
    assert padded < 0.8 * sum(len(part) * (part.max() + 12) for part in in_a_row)


@pytest.mark.parametrize("freeze", [True, False])
def test_the_vision_tower_rests_when_it_is_frozen(policy, selection, freeze):
    model, processor = policy
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    steps = fine_tune(model, processor, selection, {**SETTINGS, "freeze_vision": freeze}, 0)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    visual = {name for name in before if name.startswith("model.visual.")}
    assert visual and bool(moved & visual) is not freeze
    assert {name for name in before if name.startswith("model.language_model.layers.")} <= moved
    assert len(steps) == 6 and not model.training and model.config.use_cache


def test_the_loss_falls_and_the_rate_decays_linearly(policy, selection):
    model, processor = policy
    steps = fine_tune(model, processor, selection, {**SETTINGS, "epochs": 8, "batch": 5}, 0)
    assert steps["step"].tolist() == list(range(2, 17, 2))  # a tenth of 16 steps, rounded up
    np.testing.assert_allclose(steps["lr"], 0.01 * (1 - np.arange(1, 16, 2) / 16))
    # An untrained model is indifferent between about a hundred words.
    assert steps["loss"].iloc[0] == pytest.approx(np.log(model.config.text_config.vocab_size), 0.1)
    assert steps["loss"].iloc[-1] < 0.8 * steps["loss"].iloc[0]


def test_two_runs_publish_the_same_folder_and_it_loads(model_folder, selection, tmp_path):
    digests = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        model, processor = load_policy(model_folder)
        fine_tune(model, processor, selection, SETTINGS, seed=3)
        publish(model, processor, WORLD, folder)
        digests.append(
            {
                file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                for file in sorted(folder.iterdir())
                if file.name != "tokenizer_config.json"  # tells where it was loaded from
            }
        )
    assert digests[0] == digests[1] and "model.safetensors" in digests[0]
    assert (
        digests[0]["tokenizer.json"]
        == hashlib.sha256((model_folder / "tokenizer.json").read_bytes()).hexdigest()
    )
    weights = load_file(tmp_path / "one" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert read_json(tmp_path / "one" / "world.json") == WORLD.dump()
    loaded, _ = load_policy(tmp_path / "one")
    name = "model.language_model.norm.weight"
    assert torch.equal(dict(loaded.named_parameters())[name].half(), model.state_dict()[name])
    assert AutoTokenizer.from_pretrained(tmp_path / "one").padding_side == "left"


def test_publishing_replaces_a_folder_whole(model_folder, tmp_path):
    model, processor = load_policy(model_folder)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "left-over").touch()
    publish(model, processor, WORLD, tmp_path / "model")
    assert not (tmp_path / "model" / "left-over").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
