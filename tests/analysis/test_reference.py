"""Compact tables: small, and read by the same code."""

import shutil

import numpy as np
import pandas as pd
import pytest

from ares.errors import UserError
from ares.findings import reference
from ares.io import read_table, write_json, write_table
from ares.paths import REFERENCE


def test_shortened_entropies_keep_their_order_and_eleven_binary_digits():
    values = np.random.default_rng(0).exponential(0.3, 1000).astype(np.float32)
    short = reference.shorten(values)
    assert short.dtype == np.float32
    assert np.abs(short / values - 1).max() < 0.0005
    assert (np.diff(short[np.argsort(values)]) >= 0).all()


@pytest.fixture
def run(tmp_path):
    """A folder of a run's tables."""
    tokens = {"rollout_id": [0, 0], "position": [0, 1], "token": ["a", "b"], "logprob": [-1.0, 0.0]}
    tokens |= {"entropy": [0.123456, 1e-6], "class_entropy": 0.1, "p_filler": [0.12345, 0.00001]}
    rollouts = {"rollout_id": [0], "text": ["a b"], "n_tokens": [2], "entropy": [[0.1, 0.0]]}
    rollouts |= {"logprob": [[-1.0, 0]], "token_ids": [[1, 2]]}
    pool = {"problem_id": ["1-2=3"], "numbers": [[1, 2]], "target": 3, "text": ""}
    evaluation = {"arm": ["base"], "entropy": [0.123456], "n_tokens": [2.125]}
    made = {"tokens": tokens, "rollouts": rollouts, "pool": pool, "evaluation": evaluation}
    for name in reference.TABLES:
        table = made.get(name, {"rollout_id": [0], "value": [0.123456]})
        write_table(tmp_path / "run" / f"{name}.parquet", pd.DataFrame(table))
    write_json(tmp_path / "run/manifest.json", {"commit": None})
    return tmp_path / "run"


def test_lists_are_left_out_numbers_shortened_and_the_rest_kept(run, tmp_path):
    out = tmp_path / "out"
    reference.write_reference(run, out)
    assert list(read_table(out / "rollouts.parquet")) == ["rollout_id", "text", "n_tokens"]
    tokens = read_table(out / "tokens.parquet")
    assert "logprob" not in tokens
    assert tokens["entropy"].to_numpy() == pytest.approx([0.123456, 1e-6], rel=5e-4)
    assert tokens["p_filler"].tolist() == pytest.approx([0.123, 0.0])
    assert list(read_table(out / "pool.parquet")) == ["problem_id"]
    evaluation = read_table(out / "evaluation.parquet")
    assert evaluation["entropy"].to_numpy() == pytest.approx([0.123456], rel=5e-4)
    assert evaluation["n_tokens"].tolist() == [2.125]
    for name in set(reference.TABLES) - {"tokens", "rollouts", "pool", "evaluation"}:
        kept = read_table(out / f"{name}.parquet")
        pd.testing.assert_frame_equal(kept, read_table(run / f"{name}.parquet"))
    assert (out / "manifest.json").read_bytes() == (run / "manifest.json").read_bytes()


def test_the_findings_are_judged_by_the_compact_tables(tmp_path):
    shutil.copytree(REFERENCE, tmp_path / "copy")
    (tmp_path / "copy/findings.csv").unlink()
    reference.write_findings(tmp_path / "copy")
    made = (tmp_path / "copy/findings.csv").read_bytes()
    assert made == (REFERENCE / "findings.csv").read_bytes()


def test_a_missing_file_is_named(run, tmp_path):
    (run / "causal.parquet").unlink()
    with pytest.raises(UserError, match=r"causal\.parquet: no such"):
        reference.write_reference(run, tmp_path / "out")


def test_too_much_for_the_repository_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "LIMIT", 100)
    with pytest.raises(UserError, match="fewer problems"):
        reference.write_reference(run, tmp_path / "out")
