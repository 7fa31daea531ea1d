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

from ares.benchmarks.load import items
from ares.config import load_config
from ares.errors import UserError
from ares.model.load import load_policy
from ares.paperscale.problems import ChosenItems, choose, data_sets
from ares.paperscale.save import in_precision, save_plain, side_files
from ares.paperscale.sft import build_trainer, losses, training_order
from ares.training import checkpoints
from ares.training.resuming import train_or_resume

SETTINGS = {
    "epochs": 2, "batch": 4, "micro_batch": 2, "max_length": 99, "lr": 1e-3, "warmup": 0.5,
    "weight_decay": 0.0, "max_grad_norm": 1.0, "freeze_vision": True, "checkpoint_every": 2,
}  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_the_order_has_whole_blocks_of_one_kind_and_all_rows_every_epoch(rows, block, epochs, seed):
    lengths, pictures = zip(*rows, strict=True)
    order = training_order(lengths, pictures, block, epochs, seed)
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
    order = training_order(lengths, [True] * 2000, 8, 1, seed=1)
    spread = np.ptp(np.array(lengths)[order].reshape(-1, 8), axis=1).mean()
    assert spread < 60  # of blocks drawn at random: about 780
    means = np.array(lengths)[order].reshape(-1, 8).mean(1)
    assert abs(np.corrcoef(means, np.arange(250))[0, 1]) < 0.2
    assert order != training_order(lengths, [True] * 2000, 8, 1, seed=2)
    two = training_order(lengths, [True] * 2000, 8, 2, seed=1)
    assert two[:2000] == order and two[2000:] != order


@pytest.fixture
def selection(scale) -> tuple[pd.DataFrame, ChosenItems]:
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
    chosen = ChosenItems(table, sources)
    table["text"] = [f"<think> {i + 2} + 3 = {i + 5} </think> \\boxed{{ 5 }}" for i in range(12)]
    tokenize = processor.tokenizer
    table["n_tokens"] = [len(tokenize(text)["input_ids"]) + 1 for text in table["text"]]
    return table, chosen


def trainer_of(selection, folder: Path, processes: int = 1, **settings):
    model, processor = load_policy("data/base")
    table, chosen = selection
    own = SETTINGS | settings
    return build_trainer(model, processor, table, chosen, own, 1, folder, processes)


def test_labels_are_the_trace_and_its_end(selection, tmp_path):
    trainer = trainer_of(selection, tmp_path)
    table, _ = selection
    rows = trainer.train_dataset.with_format(None)["row"]
    batches = list(trainer.get_train_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [2] * 12
    counted = [n for batch in batches for n in (batch["labels"] != -100).sum(1).tolist()]
    assert counted == table["n_tokens"].iloc[rows].tolist()
    # The columns of the trainer's batches: pictures where there are some, and none elsewhere.
    kinds = table["pictures"].iloc[rows].to_numpy().reshape(-1, 2)
    assert [("pixel_values" in batch) for batch in batches] == [k.all() for k in kinds > 0]
    lengths = (table["prompt_tokens"] + table["n_tokens"]).iloc[rows].tolist()
    assert [n for batch in batches for n in batch["attention_mask"].sum(1).tolist()] == lengths


def test_an_interrupted_run_ends_where_the_whole_one_ends(selection, tmp_path):
    whole = trainer_of(selection, tmp_path / "whole")
    train_or_resume(whole)
    assert losses(whole)["step"].tolist() == [1, 2, 3, 4, 5, 6]

    cut = trainer_of(selection, tmp_path / "cut")
    cut.add_callback(StopAfter(3))
    train_or_resume(cut)
    assert checkpoints.last_complete(tmp_path / "cut").endswith("checkpoint-2")

    again = trainer_of(selection, tmp_path / "cut")
    train_or_resume(again)
    for name, expected in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], expected), name
    pd.testing.assert_frame_equal(losses(again), losses(whole))


class StopAfter(TrainerCallback):
    """Ends a run early, as a killed job does, after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, args, state, control, **others) -> None:
        control.should_training_stop = state.global_step == self.steps


def test_half_a_checkpoint_does_not_count(selection, tmp_path):
    trainer = trainer_of(selection, tmp_path)
    train_or_resume(trainer)
    newest = Path(checkpoints.last_complete(tmp_path))
    (newest / "optimizer.pt").unlink()
    assert Path(checkpoints.last_complete(tmp_path)) != newest and not newest.exists()


def test_a_batch_that_cannot_be_split_is_refused(selection, tmp_path):
    with pytest.raises(UserError, match="a batch of 4 can't be split over 3 processes"):
        trainer_of(selection, tmp_path, processes=3)


def test_the_vision_tower_rests_only_when_told(selection, tmp_path):
    for frozen in (True, False):
        trainer = trainer_of(selection, tmp_path / str(frozen), freeze_vision=frozen)
        assert {p.requires_grad for p in trainer.model.model.visual.parameters()} == {not frozen}


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
