"""The notebooks of the training runs on made-up tables: of the smallest size, and with gaps."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from ares import paths
from ares.io import write_table
from tests.notebooks.running import LISTED, execute

NOTEBOOKS = ["09_training", "10_ablation"]


@pytest.fixture(scope="module")
def made_up() -> ModuleType:
    """The generator of the tables."""
    file = paths.ROOT / "tests/analysis/made_up_runs.py"
    spec = importlib.util.spec_from_file_location("made_up_runs", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder: Path, tables: dict[str, pd.DataFrame], change: Callable) -> None:
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", change(table))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_two_batches_one_run_and_four_problems_are_enough(name, made_up, tmp_path, capsys):
    made_up.write(tmp_path, steps=2, seeds=(1,), per_level=4, samples=2)
    execute(name, config="smoke", tables=str(tmp_path), figures=str(tmp_path / "figures"))
    wanted = [f"{f}.{e}" for f in LISTED[name]["figures"] for e in ("png", "pdf", "csv")]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(wanted)
    assert "1 seed, 2 are needed" in capsys.readouterr().out


GAPS = {
    "arms of other names": lambda table: table[
        table["arm"].isin(["ares-no-kl", "paper", "base"])
    ].replace({"arm": {"paper": "mine"}}),
    "no cold start": lambda table: table[table["arm"].isin(["grpo", "ares", "ares-branch"])],
    "two levels": lambda table: table[table.get("level", pd.Series("", table.index)) != "medium"],
}


@pytest.mark.slow
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_gaps_in_the_tables_are_drawn_as_gaps(name, gap, made_up, tmp_path):
    write(tmp_path, made_up.tables(per_level=12), GAPS[gap])
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
