"""The notebooks of the training runs on parts of the reference tables: the smallest, and gaps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from ares import paths
from ares.io import read_table, write_table
from tests.notebooks.running import LISTED, execute

NOTEBOOKS = ["09_training", "10_ablation"]


def write(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write the changed tables of the reference run into a folder."""
    for name in ("steps", "timings", "validation", "evaluation", "trees"):
        table = read_table(paths.REFERENCE / f"{name}.parquet")
        write_table(folder / f"{name}.parquet", change(table))


def smallest(table: pd.DataFrame) -> pd.DataFrame:
    """Two batches (or validations) of one run, and four problems of every level."""
    table = table[table["seed"] <= 1]
    if "step" in table:
        return table[table["step"] <= sorted(table["step"].unique())[1]]
    problems = table[["problem_id", "level"]].drop_duplicates().groupby("level").head(4)
    return table[table["problem_id"].isin(problems["problem_id"])]


GAPS = {
    "arms of other names": lambda table: table[
        table["arm"].isin(["ares-no-kl", "paper", "base"])
    ].replace({"arm": {"paper": "mine"}}),
    "no cold start": lambda table: table[table["arm"].isin(["grpo", "ares", "ares-branch"])],
    "two levels": lambda table: table[table.get("level", pd.Series("", table.index)) != "medium"],
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_two_batches_one_run_and_four_problems_are_enough(name, tmp_path, capsys):
    write(tmp_path, smallest)
    execute(name, config="smoke", tables=str(tmp_path), figures=str(tmp_path / "figures"))
    wanted = [f"{f}.{e}" for f in LISTED[name]["figures"] for e in ("png", "pdf", "csv")]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(wanted)
    assert "1 seed, 2 are needed" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_gaps_in_the_tables_are_drawn_as_gaps(name, gap, tmp_path):
    write(tmp_path, GAPS[gap])
    execute(name, config="laptop", tables=str(tmp_path), figures=str(tmp_path / "figures"))
    for figure in LISTED[name]["figures"]:
        assert (tmp_path / "figures" / f"{figure}.png").is_file()


def test_any_rollout_of_any_group_can_be_read_in_its_tree(tmp_path):
    """What the controls under the tree draw: nobody moves them when the notebook is executed."""
    names = execute("09_training", figures=str(tmp_path))
    for group, rollout, read in ((1, 4, 4), (len(names["ranked"]), 99, 7)):
        fig = names["reading"](group, rollout)
        first, *lines = fig.get_supxlabel().splitlines()
        assert first == f"rollout {read}; [shared with its parent], <n>: rollout n leaves here"
        assert lines[0].startswith("[<think>") and lines[-1].endswith("<|im_end|>")
        assert len(fig.axes[0].patches) == 1  # the rollout that is read is marked
    plt.close("all")
