"""A run that was killed and taken up again equals one that was not interrupted, value by value."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from ares.errors import UserError
from ares.io import KEY, write_json
from ares.paths import ROOT
from ares.training import checkpoints

ARMS = ("ares", "paper")
#: Minutes are for a machine that is busy with other things; it takes seconds.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def killed(lively_folder, tmp_path_factory) -> Path:
    """Folders of states, by arm, of runs that died in their third batch of four."""
    states = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed_run.py"), lively_folder, states],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        capture_output=True, text=True, timeout=1000,
    )  # fmt: skip
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended: ")]
    assert ends == ["ended: ares -9", "ended: paper -9"], done.stdout + done.stderr
    # Two optimizer steps a batch; one died while it wrote the state of its third batch.
    assert (states / "ares/checkpoint-6/model.safetensors").is_file()
    assert not checkpoints.is_complete(states / "ares/checkpoint-6")
    assert checkpoints.is_complete(states / "paper/checkpoint-4")
    return states


@pytest.mark.parametrize("arm", ARMS)
def test_killed_and_resumed_equals_uninterrupted(scenes, killed, lively_folder, tmp_path, arm):
    state = tmp_path / "killed"
    shutil.copytree(killed / arm, state)
    resumed = scenes.run_of(arm, lively_folder, state)
    resumed.train()
    whole = scenes.run_of(arm, lively_folder, tmp_path / "whole")
    whole.train()

    one, other = scenes.remains(resumed), scenes.remains(whole)
    assert torch.equal(one["parameters"], other["parameters"])
    assert one["state"] == other["state"]
    for name, table in one["tables"].items():
        pd.testing.assert_frame_equal(table, other["tables"][name], check_exact=True)
    # The comparison is about something.
    steps, validation, trees = (one["tables"][name] for name in ("steps", "validation", "trees"))
    assert set(steps.step) == {1, 2, 3, 4} and set(validation.step) == {0, 2, 4}
    assert steps[steps.metric == "grad_norm"].value.gt(0).any()
    if arm == "paper":
        refilled = steps[steps.metric == "groups_refilled"].set_index("step")["value"]
        assert refilled[[1, 2]].sum() > 0 and refilled[[3, 4]].sum() > 0  # before the kill, after
        assert set(trees.step) == {1, 2, 3, 4} and (trees.branch_at > 0).any()
    untrained = scenes.run_of(arm, lively_folder, tmp_path / "untrained").trainer
    assert not torch.equal(one["parameters"], scenes.parameters(untrained))


def test_a_finished_run_is_not_trained_again(scenes, lively_folder, tmp_path):
    first = scenes.run_of("ares", lively_folder, tmp_path, steps=2)
    first.train()
    again = scenes.run_of("ares", lively_folder, tmp_path, steps=2)
    again.trainer.grader.verifier = None  # would be called by any new batch
    again.train()
    one, other = scenes.remains(first), scenes.remains(again)
    assert torch.equal(one["parameters"], other["parameters"])
    assert one["state"] == other["state"]


def checkpoint(folder: Path, number: int, complete: bool = True) -> Path:
    made = folder / f"checkpoint-{number}"
    (made / "part").mkdir(parents=True)
    (made / "model.safetensors").write_bytes(b"weights")
    (made / "part" / "rng.pth").write_bytes(b"state")
    if complete:
        checkpoints.mark_complete(made)
    return made


def test_the_newest_by_number_counts_not_by_name_and_where_none_is_there_is_none(tmp_path):
    assert checkpoints.last_complete(tmp_path / "missing") is None
    for number in (2, 10, 9):
        checkpoint(tmp_path, number)
    assert checkpoints.last_complete(tmp_path) == str(tmp_path / "checkpoint-10")


@pytest.mark.parametrize(
    ("damaged", "left"),
    [("complete.json", None), ("model.safetensors", b"weig"), ("part/rng.pth", None)],
)
def test_half_a_checkpoint_is_removed_and_the_one_before_counts(tmp_path, damaged, left):
    whole, half = checkpoint(tmp_path, 2), checkpoint(tmp_path, 4)
    (half / damaged).unlink() if left is None else (half / damaged).write_bytes(left)
    assert checkpoints.is_complete(whole) and not checkpoints.is_complete(half)
    assert checkpoints.last_complete(tmp_path) == str(whole)
    assert not half.exists()


@pytest.mark.parametrize("number", [None, 2], ids=["of before", "of another version"])
def test_a_checkpoint_of_another_version_is_refused(number, tmp_path):
    made = checkpoint(tmp_path, 2)
    of_before = {"files": {"model.safetensors": 7}} | ({} if number is None else {KEY: number})
    write_json(made / checkpoints.MARKER, of_before)
    version = "no schema version" if number is None else "schema version 2"
    told = f"checkpoint-2: of {version}.* version 1: remove {tmp_path}"
    with pytest.raises(UserError, match=told):
        checkpoints.last_complete(tmp_path)


def test_checkpoints_of_another_preset_are_refused_by_name(scenes, killed, lively_folder, tmp_path):
    shutil.copytree(killed / "paper", tmp_path / "state")
    other = scenes.run_of("ares-branch", lively_folder, tmp_path / "state")
    with pytest.raises(UserError, match=r"other settings \(.*\badvantage\b.*\bpsi\b.* differ\)"):
        other.train()
