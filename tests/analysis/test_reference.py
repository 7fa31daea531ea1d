"""Compact tables: small, and read by the same code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.errors import UserError
from ares.findings import reference
from ares.io import read_table, write_json, write_table, write_text


def test_shortened_entropies_keep_their_order_and_eleven_binary_digits():
    values = np.random.default_rng(0).exponential(0.3, 1000).astype(np.float32)
    short = reference.shorten(values)
    assert short.dtype == np.float32
    assert np.abs(short / values - 1).max() < 0.0005
    assert (np.diff(short[np.argsort(values)]) >= 0).all()
    assert reference.shorten([0.0, 1.0]).tolist() == [0.0, 1.0]


def write_run(folder) -> None:
    tokens = pd.DataFrame({"rollout_id": [0, 0], "position": [0, 1], "token": ["a", "b"]})
    tokens = tokens.assign(entropy=[0.123456, 1e-6], class_entropy=[0.1, 0.0], logprob=[-1.0, 0.0])
    tokens["p_filler"] = [0.12345, 0.00001]
    rollouts = pd.DataFrame({"rollout_id": [0], "text": ["a b"], "n_tokens": [2]})
    rollouts = rollouts.assign(entropy=[[0.1, 0.0]], logprob=[[-1.0, 0.0]], token_ids=[[1, 2]])
    pool = pd.DataFrame(
        {"problem_id": ["1-2=3"], "numbers": [[1, 2]], "target": [3], "text": ["a"]}
    )
    evaluation = pd.DataFrame({"arm": ["base"], "entropy": [0.123456], "n_tokens": [2.125]})
    made = {"tokens": tokens, "rollouts": rollouts, "pool": pool, "evaluation": evaluation}
    for name in reference.TABLES:
        table = made.get(name, pd.DataFrame({"rollout_id": [0], "value": [0.123456]}))
        write_table(folder / f"{name}.parquet", table)
    write_json(folder / "manifest.json", {"commit": None})
    write_text(folder / "findings.csv", "id,claim\nF1,one\n")


def test_the_command_leaves_out_lists_and_shortens_numbers(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    write_run(run)
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


def test_the_other_tables_and_the_findings_are_kept_as_they_are(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    write_run(run)
    reference.write_reference(run, out)
    for name in set(reference.TABLES) - {"tokens", "rollouts", "pool", "evaluation"}:
        kept = read_table(out / f"{name}.parquet")
        pd.testing.assert_frame_equal(kept, read_table(run / f"{name}.parquet"))
    for name in ("findings.csv", "manifest.json"):
        assert (out / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [("causal.parquet", "no such table"), ("findings.csv", "no such file")],
)
def test_a_missing_file_is_one_line(tmp_path, capsys, name, message):
    write_run(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(UserError, match=f"{name}: {message}"):
        reference.write_reference(tmp_path / "run", tmp_path / "out")


def test_too_much_for_the_repository_is_refused(tmp_path, capsys, monkeypatch):
    write_run(tmp_path / "run")
    monkeypatch.setattr(reference, "LIMIT", 100)
    with pytest.raises(UserError, match="fewer problems"):
        reference.write_reference(tmp_path / "run", tmp_path / "out")
