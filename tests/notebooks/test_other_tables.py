"""Notebooks on tables that they were not stored with: the smallest, scores of models, and gaps."""

from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from ares import paths
from ares.errors import UserError
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


NAME = "11_benchmarks"


SIZES = {"MathVista": 1000, "MMMU": 900, "GSM8K": 1319, "AIME25": 30, "GPQA": 198}


def scores(*models: tuple[str, float], sizes: Mapping[str, int] = SIZES) -> pd.DataFrame:
    """Two multimodal and three text benchmarks, as `ares benchmark` writes them."""
    rows = [
        (model, name, "pass@1", value, value - 2, value + 2, size, size, 1, 900.0, 1.0, 0, 0, 0)
        for model, value in models
        for name, size in sizes.items()
    ]
    columns = ["model", "benchmark", "metric", "score", "ci_low", "ci_high", "n_items"]
    columns += ["n_groups", "samples", "n_tokens", "finished", "no_answer", "ungradable", "failed"]
    return pd.DataFrame(rows, columns=columns).assign(source="here")


def check_figures(folder: Path) -> None:
    wanted = [f"{f}.{e}" for f in LISTED[NAME]["figures"] for e in ("png", "pdf", "csv")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(wanted)


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> dict:
    """What notebook 11 defines where it was given scores; its figures are in `figures`."""
    folder = tmp_path_factory.mktemp("scores")
    table = scores(("base", 40.0), ("adacs", 60.0), ("grpo-s1", 61.0), ("ares-s1", 70.0))
    write_table(folder / "scores.parquet", table)
    common = {"config": "paper-7b", "tables": str(folder), "figures": str(folder / "figures")}
    return execute(NAME, **common, measured="scores", size="7B")


def test_scores_of_real_models_stand_beside_the_papers(scored):
    check_figures(Path(scored["figures"]))
    assert scored["why"].startswith(
        "of 15 benchmarks on which ARES-7B is best in the paper, 3 were"
    )
    ours = scored["table4"].query("benchmark == 'GSM8K' and arm == 'ares' and quantity == 'length'")
    assert ours[["paper", "ours"]].astype(float).to_numpy().tolist() == [[278.9, 900.0]]
    assert scored["gain"]("ares", "adacs", ["MMMU", "GPQA"])[0] == pytest.approx(10)
    for of, names in (("dapo", ["MMMU"]), ("ares", ["MMMU", "DynaMath-W"])):
        assert pd.isna(scored["gain"](of, "adacs", names)[0])


def test_runs_are_a_mean_and_a_range_and_averages_need_every_benchmark(scored):
    both = scores(("ares-s1", 70.0), ("ares-s2", 76.0), sizes={"MathVista": 1000})
    # The benchmark's own metric comes first; the other one is left out.
    other = both.assign(metric="other", score=0.0)
    (row,) = scored["from_scores"](pd.concat([both, other])).to_dict("records")
    assert (row["arm"], row["runs"], row["over"]) == ("ares", 2, "range of runs")
    assert (row["accuracy"], row["low"], row["high"]) == (73.0, 70.0, 76.0)
    assert (row["level"], row["modality"], row["of"]) == ("easy", "multimodal", 1000)
    names = ["AIME24", "AIME25", "MATH500", "MMLU-Pro", "BBEH", "GPQA"]
    rows = scored["from_scores"](scores(("mine", 50.0), sizes=dict.fromkeys(names, 10)))
    none, average = scored["averages_of"](rows)
    assert none.empty and average[["modality", "accuracy", "n"]].to_numpy().tolist() == [
        ["text", 50.0, 60]
    ]
    part = scored["from_scores"](scores(("mine", 50.0), sizes={"WeMath-S": 100, "own": 5}))
    words = scored["size_of"](part.assign(failed=[3, 0]))
    assert words.endswith(
        "2 benchmarks, not all questions of 1 (WeMath 100 of 1740); "
        "3 requests without a response count as wrong"
    )
    with pytest.raises(UserError, match="two scores"):
        scored["from_scores"](scores(("a", 1.0), ("a", 2.0)))
    uneven = pd.concat([both, scores(("ares-s3", 70.0), sizes={"MathVista": 5})])
    with pytest.raises(UserError, match="different questions"):
        scored["from_scores"](uneven)


def test_f12_judges_what_was_asked_whole(scored):
    from_scores, f12 = scored["from_scores"], scored["f12"]

    def verdict_of(asked: Mapping[str, int] = SIZES, **values: float) -> str:
        tables = [scores(("ares-s1", v), sizes={n: asked[n]}) for n, v in values.items()]
        verdict, _, parts = f12(from_scores(pd.concat(tables)), "7B")
        assert {*parts["benchmark"]} <= values.keys() - {"MathVista"}  # the best is another model
        return verdict

    assert verdict_of(AIME25=50.0, GPQA=30.0, MathVista=90.0) == "partly"
    assert verdict_of(AIME25=50.0, GPQA=10.0, MMMU=10.0) == "contradicted"
    assert verdict_of(MMMU=58.0) == "not at this scale"  # the best other open model has 58.7
    assert verdict_of(MathVista=90.0) == "not testable"
    assert verdict_of({"GPQA": 100}, GPQA=99.0) == "not testable"  # its first questions only
    assert f12(from_scores(scores(("ares", 90.0))), "")[0] == "not testable"


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
