"""Compact tables: small, and read by the same code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ares.cli import main
from ares.io import read_table, write_json, write_table
from ares.workflow import reference


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
    others = {name: pd.DataFrame({"rollout_id": [0]}) for name in ("problems", "top_k", "causal")}
    for name, table in {"tokens": tokens, "rollouts": rollouts, **others}.items():
        write_table(folder / f"{name}.parquet", table)
    write_json(folder / "manifest.json", {"commit": None})


def test_the_command_leaves_out_lists_and_shortens_numbers(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    write_run(run)
    assert main(["reference", "--results", str(run), "--out", str(out)]) == 0
    assert list(read_table(out / "rollouts.parquet")) == ["rollout_id", "text", "n_tokens"]
    tokens = read_table(out / "tokens.parquet")
    assert "logprob" not in tokens
    assert tokens["entropy"].to_numpy() == pytest.approx([0.123456, 1e-6], rel=5e-4)
    assert tokens["p_filler"].tolist() == pytest.approx([0.123, 0.0])
    assert (out / "manifest.json").is_file()


def test_a_missing_table_is_one_line(tmp_path, capsys):
    write_run(tmp_path / "run")
    (tmp_path / "run" / "causal.parquet").unlink()
    arguments = ["reference", "--results", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "causal.parquet: no such table" in capsys.readouterr().err


def test_too_much_for_the_repository_is_refused(tmp_path, capsys, monkeypatch):
    write_run(tmp_path / "run")
    monkeypatch.setattr(reference, "LIMIT", 100)
    arguments = ["reference", "--results", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "fewer problems" in capsys.readouterr().err
