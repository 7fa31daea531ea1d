"""Fine-tuning on real data: the order, the labels, and going on after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainerCallback

from ares.coldstart.teachers import habits, pool
from ares.config import FineTuning, load_config
from ares.data.countdown import Problem
from ares.data.items import Problems
from ares.data.problems import choose, data_set_problems, data_sets
from ares.data.world import draw_table, world_problems
from ares.data.world_settings import load_world
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.load import items
from ares.io import read_table
from ares.model.base_corpus import Example, collate
from ares.model.load import load_policy
from ares.model.save import in_precision, save_plain, side_files
from ares.model.tiny import build_processor
from ares.training import checkpoints
from ares.training.checkpoints import train_or_resume
from ares.training.sft import build_trainer, fine_tune, losses, training_order
from tests.configs import changed

SETTINGS = FineTuning(
    epochs=2, batch=4, micro_batch=2, max_length=99, lr=1e-3, warmup=0.5, checkpoint_every=2
)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_the_order_has_whole_blocks_of_one_kind_and_all_rows_every_epoch(rows, block, epochs, seed):
    lengths, pictures = zip(*rows, strict=True)
    order = training_order(lengths, block, epochs, seed, pictures)
    blocks = np.array(order).reshape(-1, block)
    assert all(len({pictures[row] for row in each}) == 1 for each in blocks)
    assert len(blocks) % epochs == 0
    for epoch in np.split(blocks, epochs):
        counts = np.bincount(epoch.ravel(), minlength=len(rows))
        assert counts.min() >= 1
        # Repeated are no more than what fills the last block of either kind.
        assert counts.sum() - len(rows) < 2 * block


def test_the_order_is_random_and_blocks_are_of_similar_lengths():
    lengths = np.random.default_rng(0).integers(1, 1000, 2000).tolist()
    order = training_order(lengths, 8, 1, 1, [True] * 2000)
    spread = np.ptp(np.array(lengths)[order].reshape(-1, 8), axis=1).mean()
    assert spread < 60  # of blocks drawn at random: about 780
    means = np.array(lengths)[order].reshape(-1, 8).mean(1)
    assert abs(np.corrcoef(means, np.arange(250))[0, 1]) < 0.2
    assert order != training_order(lengths, 8, 1, 2, [True] * 2000)
    assert sorted(training_order(lengths, 8, 1, 1)) == list(range(2000))
    two = training_order(lengths, 8, 2, 1, [True] * 2000)
    assert two[:2000] == order and two[2000:] != order


@pytest.fixture
def selection(scale) -> tuple[pd.DataFrame, Problems]:
    """Six traces of each kind, with their problems."""
    sources = data_sets(load_config(scale()), ["cards", "numbers"])
    _, processor = load_policy("data/base")
    table = pd.concat(
        [
            choose(items(entry), name, 6, processor, 99, "both", 1)[0]
            for name, entry in sources.items()
        ],
        ignore_index=True,
    )
    problems = data_set_problems(table, sources)
    table["text"] = [f"<think> {i + 2} + 3 = {i + 5} </think> \\boxed{{ 5 }}" for i in range(12)]
    tokenize = processor.tokenizer
    table["n_tokens"] = [len(tokenize(text)["input_ids"]) + 1 for text in table["text"]]
    return table, problems


def trainer_of(selection, folder: Path, processes: int = 1, **settings):
    table, problems = selection
    own = SETTINGS.model_copy(update=settings)
    return build_trainer(*load_policy("data/base"), problems, table, own, 1, folder, processes)


def test_an_interrupted_run_ends_where_the_whole_one_ends(selection, tmp_path):
    whole = trainer_of(selection, tmp_path / "whole")
    train_or_resume(whole)
    assert losses(whole)["step"].tolist() == [1, 2, 3, 4, 5, 6]

    cut = trainer_of(selection, tmp_path / "cut")
    cut.add_callback(StopAfterThree())
    train_or_resume(cut)
    assert checkpoints.last_complete(tmp_path / "cut").endswith("checkpoint-2")

    again = trainer_of(selection, tmp_path / "cut")
    train_or_resume(again)
    for name, expected in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], expected), name
    pd.testing.assert_frame_equal(losses(again), losses(whole))


class StopAfterThree(TrainerCallback):
    """Ends a run early, as a killed job does."""

    def on_step_end(self, args, state, control, **others) -> None:
        control.should_training_stop = state.global_step == 3


def test_a_batch_that_cannot_be_split_is_refused(selection, tmp_path):
    with pytest.raises(UserError, match="a batch of 4 can't be split over 3 processes"):
        trainer_of(selection, tmp_path, processes=3)


def test_the_vision_tower_rests_only_when_told(selection, tmp_path):
    for frozen in (True, False):
        trainer = trainer_of(selection, tmp_path / str(frozen), freeze_vision=frozen)
        assert {p.requires_grad for p in trainer.model.model.visual.parameters()} == {not frozen}


# ---------------------------------------------------------------------------- the small world

WORLD = load_world()


@pytest.fixture(scope="module")
def traces() -> pd.DataFrame:
    """Ten traces of mixed levels and lengths, half of them of pictures."""
    table = draw_table(WORLD, "train", ["easy", "medium", "hard"], ["text", "image"], 3, seed=1)
    items = world_problems(table, WORLD, look=5).items
    with Grader() as grader:
        found = list(habits(items, range(len(items)), WORLD, 1, 0, grader))
    kept, _ = pool(table, found, build_processor(WORLD), [150] * len(table))
    halves = [part.iloc[:5] for _, part in kept.groupby("presentation")]
    return pd.concat(halves).sample(frac=1, random_state=0, ignore_index=True)


@pytest.mark.parametrize("presentations", [("text", "image"), ("text",), ("image",)])
def test_ids_and_labels_are_those_of_the_base_corpus(model_folder, traces, presentations, tmp_path):
    model, processor = load_policy(model_folder)
    chosen = traces[traces["presentation"].isin(presentations)].reset_index(drop=True)
    problems, settings = world_problems(chosen, WORLD, look=5), FineTuning(batch=4, lr=0.01)
    trainer = build_trainer(model, processor, problems, chosen, settings, 5, tmp_path)
    rows = trainer.train_dataset.with_format(None)["row"][: len(chosen)]
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(chosen))])
    examples = [
        Example(Problem(tuple(row.numbers), row.target), row.presentation, row.text)
        for row in chosen.iloc[rows].itertuples()
    ]
    expected = collate(examples, processor, seed=5)
    assert sorted(rows) == list(range(len(chosen))) and expected.keys() == batch.keys()
    for name, tensor in expected.items():
        assert torch.equal(torch.as_tensor(batch[name]).to(tensor.dtype), tensor), name


def test_the_loss_falls_and_two_runs_write_the_same_model(model_folder, traces, tmp_path):
    sft = {"epochs": 8, "batch": 5, "lr": 0.01, "schedule": "linear", "warmup": 0.0}
    scale = changed(load_config("smoke"), {"model": str(model_folder), "cold_start.sft": sft})
    table = traces.assign(curation="adacs")
    for name in ("one", "two"):
        written = tmp_path / name, tmp_path / f"{name}.parquet"
        fine_tune(scale, table, tmp_path / f"{name}-state", *written)
    one, two = (read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    np.testing.assert_allclose(one["lr"], 0.01 * (1 - np.arange(16) / 16))
    # An untrained model is indifferent between about a hundred words.
    assert one["loss"].iloc[0] == pytest.approx(np.log(len(build_processor(WORLD).tokenizer)), 0.1)
    assert one["loss"].iloc[-1] < 0.8 * one["loss"].iloc[0]
    made = {file.name for file in (tmp_path / "one").iterdir()}
    assert {"model.safetensors", "world.json", "tokenizer.json"} <= made
    for name in made:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not list(tmp_path.glob("*state"))


# ---------------------------------------------------------------------------- saving


def test_a_saved_model_is_its_start_with_other_weights(selection, tmp_path, model_folder):
    trainer = trainer_of(selection, tmp_path / "state")
    with torch.no_grad():
        trainer.model.lm_head.weight += 0.5  # tied to the embedding
    (tmp_path / "out").mkdir()
    (tmp_path / "out/left-over").touch()
    save_plain(trainer, "data/base", tmp_path / "out")
    loaded, _ = load_policy(tmp_path / "out")
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name
    assert not (tmp_path / "out/left-over").exists()
    assert [path.name for path in tmp_path.glob(".out*")] == []


def test_names_that_share_a_tensor_still_do():
    tied, other = torch.ones(2, 3), torch.ones(2, 3)
    made = in_precision({"a": tied, "b": tied, "c": other, "d": tied[:1]}, torch.bfloat16)
    assert made["a"] is made["b"] and made["a"] is not made["c"]
    assert made["d"].shape == (1, 3) and {t.dtype for t in made.values()} == {torch.bfloat16}


def test_side_files_are_no_weights(tmp_path):
    for name in ("config.json", "merges.txt", "chat_template.jinja", "tokenizer.model",
                 "model.safetensors", "model.safetensors.index.json", "README.md"):  # fmt: skip
        (tmp_path / name).touch()
    assert [path.name for path in side_files(str(tmp_path))] == [
        "chat_template.jinja", "config.json", "merges.txt", "tokenizer.model",
    ]  # fmt: skip
