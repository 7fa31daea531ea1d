"""Our numbers in the form that stands beside the paper's tables."""

import math

import pandas as pd
import pytest

from ares.analysis import benchmarks
from ares.analysis.paper_tables import wide
from ares.config import load_config
from ares.errors import UserError
from ares.io import write_table
from ares.method.difficulty import BUCKETS
from ares.plotting import as_text
from tests.analysis.conftest import evaluation_of
from tests.configs import changed

CONFIG = changed(load_config("smoke"), {"bootstrap": {"resamples": 200, "level": 0.95}, "seed": 1})
EVALUATION = pd.concat(
    [
        evaluation_of(arm, seed, dict(zip(BUCKETS, right, strict=True)), length, problems=4)
        for arm, seed, right, length in (
            ("base", 0, (3, 2, 1), 20),
            ("cs-vanilla", 0, (3, 3, 1), 30),
            ("adacs", 0, (4, 3, 1), 40),
            ("grpo", 1, (4, 3, 1), 50),
            ("ares", 1, (4, 3, 2), 40),
            ("ares", 2, (4, 3, 2), 60),
        )
    ],
    ignore_index=True,
)


def score(name: str, benchmark: str, value: float, **more: object) -> dict:
    """A row as `ares benchmark --scores-out` writes it."""
    usual = {"metric": "pass@1", "ci_low": value - 2, "ci_high": value + 2, "n_items": 1000}
    usual |= {"n_groups": 1000, "samples": 1, "n_tokens": 500.0, "finished": 1.0, "no_answer": 0}
    row = {"model": name, "benchmark": benchmark, "score": value, **usual}
    return row | {"ungradable": 0, "failed": 0, "source": "here"} | more


def from_scores(*rows: dict) -> benchmarks.BenchmarkResults:
    return benchmarks.from_scores(pd.DataFrame(rows))


SCORES = (
    score("adacs", "MathVista", 70.0, n_tokens=1000.0),
    score("adacs", "AIME25", 50.0, n_items=30, samples=16),
    score("ares-s1", "MathVista", 74.0, n_tokens=800.0),
    score("ares-s1", "AIME25", 60.0, n_items=30, samples=16),
    # The benchmark's own metric comes first; the other one is left out.
    score("ares-s1", "DynaMath-W", 40.0, n_items=5010, metric="worst", failed=3),
    score("ares-s1", "DynaMath-W", 60.0, n_items=5010, metric="average"),
    score("ares-s1", "WeMath-S", 44.0, n_items=100),
    score("ares-s1", "mine", 10.0),
)


@pytest.fixture(scope="module")
def small() -> benchmarks.BenchmarkResults:
    return benchmarks.from_evaluation(EVALUATION, CONFIG)


@pytest.fixture(scope="module")
def scored() -> benchmarks.BenchmarkResults:
    return from_scores(*SCORES)


def test_tables_become_text_with_marks():
    table = pd.DataFrame(
        {"model": ["a", "b"], "Avg": [1.25, math.nan], "recomputed": [2.0, -0.001]}
    )
    cells = as_text(table, {("a", "Avg"): "*", ("b", "Avg"): "*", ("a", "none"): "*"})
    assert cells.to_numpy().tolist() == [["a", "1.2*", "2.00"], ["b", "", "0.00"]]


def test_an_evaluation_becomes_cells_levels_and_averages(small):
    assert small.arms == ["base", "cs-vanilla", "adacs", "ares", "grpo"]
    (cell,) = small.of("benchmark", arm="ares", benchmark="hard image").to_dict("records")
    assert (cell["accuracy"], cell["length"], cell["runs"], cell["n"]) == (25.0, 60.0, 2, 4)
    assert (cell["level"], cell["modality"]) == ("hard", "multimodal")
    average = small.of("average", arm="ares").set_index("modality")["accuracy"]
    assert average.to_dict() == pytest.approx({"multimodal": 50, "text": 75, "": 62.5})


def test_scores_take_the_papers_names_and_the_benchmarks_own_metric(scored):
    own = scored.of("benchmark", arm="ares").set_index("benchmark")
    assert list(own.index) == ["MathVista", "AIME25", "DynaMath-W", "WeMath", "mine"]
    assert own.loc["DynaMath-W", "accuracy"] == 40.0
    row = own.loc["MathVista", ["low", "high", "level", "modality"]]
    assert row.tolist() == [72.0, 76.0, "easy", "multimodal"]
    assert own.loc["mine", ["level", "modality", "of"]].tolist() == ["", "", 0]
    # No arm was tested on all benchmarks of a table: there are no averages.
    assert set(scored.rows["kind"]) == {"benchmark"}
    assert "not all questions of 1 (WeMath 100 of 1740); 3 requests without" in scored.size


def test_runs_are_a_mean_and_a_range_and_means_need_every_benchmark():
    ours = from_scores(score("ares-s1", "MathVista", 70.0), score("ares-s2", "MathVista", 76.0))
    (row,) = ours.rows.to_dict("records")
    assert (row["arm"], row["runs"], row["over"]) == ("ares", 2, "range of runs")
    assert (row["accuracy"], row["low"], row["high"]) == (73.0, 70.0, 76.0)
    names = wide("table3_text").columns.drop("Avg")
    ours = from_scores(*(score("ares-s1", name, n) for n, name in enumerate(names)))
    (average,) = ours.of("average").to_dict("records")
    assert (average["modality"], average["accuracy"], average["n"]) == ("text", 2.5, 6000)
    assert math.isnan(average["low"])


def test_the_columns_say_which_table_it_is(tmp_path):
    write_table(tmp_path / "evaluation.parquet", EVALUATION)
    write_table(tmp_path / "scores.parquet", pd.DataFrame(SCORES))
    write_table(tmp_path / "other.csv", pd.DataFrame({"model": ["a"]}))
    assert benchmarks.measured(tmp_path, "evaluation", CONFIG).kind == benchmarks.EVALUATION
    own = str(tmp_path / "scores.parquet")
    assert benchmarks.measured("nowhere", own, CONFIG).arms == ["adacs", "ares"]
    with pytest.raises(UserError, match=r"other\.csv: has no column 'benchmark'"):
        benchmarks.measured(tmp_path, str(tmp_path / "other.csv"), CONFIG)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([score("a", "GPQA", 1.0), score("a", "GPQA", 2.0)], "two scores on GPQA"),
        (
            [score("a-s1", "GPQA", 1.0), score("a-s2", "GPQA", 2.0, n_items=5)],
            "runs of a answered .* of GPQA",
        ),
    ],
)
def test_scores_that_contradict_each_other_are_refused(rows, message):
    with pytest.raises(UserError, match=message):
        from_scores(*rows)


def test_changes_are_paired_in_an_evaluation_and_bare_for_scores(small, scored):
    found = small.change("ares", "adacs", "length")
    assert (found.value, found.over) == (pytest.approx(10), "runs and problems")
    assert found.low < 10 < found.high
    bare = scored.change("ares", "adacs", "accuracy")
    assert bare.value == pytest.approx(7) and math.isnan(bare.low)
    part = scored.change("ares", "adacs", "accuracy", ["MathVista", "DynaMath-W"])
    assert math.isnan(part.value)
    assert math.isnan(scored.change("ares", "grpo", "accuracy").value)
