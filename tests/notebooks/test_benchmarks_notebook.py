"""The notebook of the paper's tables on tables that it was not stored with: scores, and gaps."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ares.io import read_table, write_table
from tests.notebooks.running import LISTED, execute

NAME = "11_benchmarks"


def scores(*models: tuple[str, float]) -> pd.DataFrame:
    """Two multimodal and three text benchmarks, as `ares benchmark` writes them."""
    sizes = {"MathVista": 1000, "MMMU": 900, "GSM8K": 1319, "AIME25": 30, "GPQA": 198}
    rows = [
        (model, name, "pass@1", value, value - 2, value + 2, size, size, 1, 900.0, 1.0, 0, 0, 0)
        for model, value in models
        for name, size in sizes.items()
    ]
    columns = ["model", "benchmark", "metric", "score", "ci_low", "ci_high", "n_items"]
    columns += ["n_groups", "samples", "n_tokens", "finished", "no_answer", "ungradable", "failed"]
    return pd.DataFrame(rows, columns=columns)


def check_figures(folder: Path) -> None:
    wanted = [f"{f}.{e}" for f in LISTED[NAME]["figures"] for e in ("png", "pdf", "csv")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(wanted)


def test_scores_of_real_models_stand_beside_the_papers(tmp_path, capsys):
    table = scores(("base", 40.0), ("adacs", 60.0), ("grpo-s1", 61.0), ("ares-s1", 70.0))
    write_table(tmp_path / "scores.parquet", table)
    figures = tmp_path / "figures"
    common = {"config": "paper-7b", "tables": str(tmp_path), "figures": str(figures)}
    notebook = execute(NAME, **common, measured="scores", size="7B")
    check_figures(figures)
    out = capsys.readouterr().out
    assert "F12: partly: of 15 benchmarks on which ARES-7B is best in the paper, 3 were" in out
    ours = read_table(figures / "fig8_beside.csv").query("benchmark == 'GSM8K' and arm == 'ares'")
    assert ours[["paper", "ours"]].astype(float).to_numpy().tolist() == [[278.9, 900.0]]
    slip, gap = notebook["MARKS"]
    signs = {number: notebook["marks"](f"Table {number}") for number in (2, 3, 4)}
    assert signs[2] == {} and set(signs[4].values()) == {slip}
    assert signs[3] == {
        ("Gemini-2.5-Pro-Thinking", "Avg"): gap,
        ("ARES-3B minus best open, printed", "Avg"): slip,
        ("ARES-7B minus best open, printed", "Avg"): slip,
    }
    table = notebook["marked"]("text").set_index("model")["Avg"]
    assert {model for model, text in table.items() if text.endswith((slip, gap))} == {
        model for model, _ in signs[3]
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gap", ["a model of another name", "one benchmark"])
def test_gaps_are_drawn_as_gaps(gap, tmp_path, capsys):
    table = scores(("mine", 50.0))
    if gap == "one benchmark":
        table = scores(("ares-s1", 50.0)).query("benchmark == 'GPQA'")
    write_table(tmp_path / "own.parquet", table)
    figures = tmp_path / "figures"
    execute(NAME, figures=str(figures), measured=str(tmp_path / "own.parquet"))
    check_figures(figures)
    assert "F12: not testable" in capsys.readouterr().out
