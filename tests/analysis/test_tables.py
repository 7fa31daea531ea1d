"""Reading tables, window entropies in the order of the table."""

import numpy as np
import pandas as pd
import pytest

from ares.analysis import tables
from ares.errors import UserError
from ares.io import write_table


def test_windows_keep_to_their_rollout_and_rows_to_their_order(make_tokens):
    tokens = make_tokens([1.0, 3.0, 5.0], [10.0, 20.0])
    assert tables.windows(tokens, 2, incomplete="shorter").tolist() == [2, 4, 5, 15, 20]
    undefined = tables.windows(tokens, 2)
    assert undefined[[0, 1, 3]].tolist() == [2, 4, 15] and np.isnan(undefined[[2, 4]]).all()
    tokens = make_tokens([1.0, 2.0, 3.0])
    tables.check_order(tokens)
    with pytest.raises(UserError, match="row 1"):
        tables.check_order(tokens.iloc[[0, 2, 1]])


def test_tokens_get_their_problem_and_must_fit_the_rollouts(tmp_path, make_tokens):
    tokens = make_tokens([1.0, 2.0], [3.0]).drop(columns="problem_id")
    tokens = tokens.assign(token="a", decision="", slot="", class_entropy=0.0)
    tokens = tokens.assign(lexicon=False, lexicon_top1=False)
    rollouts = pd.DataFrame({"rollout_id": [0, 1], "problem_id": ["2-3=5", "2-4=6"]}).assign(
        numbers=[[2, 3], [2, 4]], target=[5, 6], level="easy", presentation="text", k=2, sample=0,
        text="", n_tokens=[2, 1], finished=True, correct=True, verdict="correct",
    )  # fmt: skip
    write_table(tmp_path / "tokens.parquet", tokens)
    write_table(tmp_path / "rollouts.parquet", rollouts)
    assert tables.read_tokens(tmp_path)["problem_id"].tolist() == ["2-3=5"] * 2 + ["2-4=6"]
    write_table(tmp_path / "rollouts.parquet", rollouts.assign(n_tokens=[2, 2]))
    with pytest.raises(UserError, match="different runs"):
        tables.read_tokens(tmp_path)
