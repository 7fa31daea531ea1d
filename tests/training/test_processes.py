"""Two processes do what one does: statistics, buckets, targets, controllers, parameters.

Both get the same fixed rollouts. One start of two gloo processes serves all tests of this file.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

HERE = Path(__file__).parent
#: Minutes are for a machine that is busy with other things; it takes seconds.
pytestmark = pytest.mark.timeout(1200)
ALIKE = ("ares", "ares-passes", "ares-pictures-on-one-process", "released", "grpo", "dapo")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def ranks(lively_folder, tmp_path_factory) -> list[dict]:
    """What each of two processes came to."""
    out = tmp_path_factory.mktemp("two-processes")
    half = out / "states" / "checkpoint-1"  # of a run that was killed: one process removes it
    half.mkdir(parents=True)
    for number in range(50):
        (half / f"{number}.bin").write_bytes(b"half")
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--master_port", str(free_port())]
    done = subprocess.run(
        [sys.executable, *launch, HERE / "two_processes.py", lively_folder, out],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])},
        cwd=HERE.parents[1],
        capture_output=True, text=True, timeout=1000,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(out / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_equal_one(scenes, ranks, lively_folder, tmp_path, name):
    alone = scenes.outcome(name, lively_folder, tmp_path, processes=1)
    # The release's controller looks at its own process alone, and ours does not.
    local = {"controller"} if name == "released" else set()
    for two in (rank[name] for rank in ranks):
        pd.testing.assert_frame_equal(alone["records"], two["records"], rtol=0, atol=1e-5)
        for part in alone["method"].keys() - local:
            assert scenes.close(alone["method"][part], two["method"][part]), part
        assert torch.allclose(alone["parameters"], two["parameters"], rtol=0, atol=1e-5)
    assert torch.equal(ranks[0][name]["parameters"], ranks[1][name]["parameters"])
    # Two processes are a comparison only where groups were kept and the weights moved.
    records = alone["records"]
    assert records[records.metric == "rollouts_kept"].value.gt(0).any()
    assert records[records.metric == "grad_norm"].value.gt(0).any()
    assert records[records.metric == "hwe"].value.gt(0.5).any()


def test_processes_refill_together(scenes, ranks):
    one, other = (rank[scenes.REFILL] for rank in ranks)
    assert one["fresh"] == other["fresh"] > 0
    assert one["fresh"] % 2 == 0  # as many rows for each
    pd.testing.assert_frame_equal(one["records"], other["records"])
    assert one["method"] == other["method"]
    assert torch.equal(one["parameters"], other["parameters"])
    records = one["records"].set_index(["metric", "bucket", "step"])["value"]
    assert records["groups_refilled", "all"].sum() > 0
    plain = ranks[0]["dapo"]["records"].set_index(["metric", "bucket", "step"])["value"]
    assert records["rollouts_kept", "all"].sum() > plain["rollouts_kept", "all"].sum()


def test_a_run_counts_its_processes_keeps_all_trees_and_clears_away_once(ranks):
    for rank in ranks:
        run = rank["run"]
        assert run["rollouts"] == 8  # 2 prompts x 8 rollouts on 2 processes
        assert run["newest"]
        steps = run["tables"]["steps"].set_index(["metric", "bucket"])["value"]
        assert (steps["rollouts", "all"] == 16).all()
    steps = [rank["run"]["tables"]["steps"] for rank in ranks]
    pd.testing.assert_frame_equal(steps[0], steps[1])
    assert [rank["run"]["removed"] for rank in ranks] == [["checkpoint-1"], []]
    trees = [rank["run"]["tables"]["trees"] for rank in ranks]
    pd.testing.assert_frame_equal(trees[0], trees[1])
    assert trees[0].groupby(["step", "prompt_index"]).size().to_dict() == {
        (step, prompt): 8 for step in (1, 2, 3) for prompt in (0, 1)
    }
