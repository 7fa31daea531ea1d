"""The command: what it writes, what it says, and which traces its page shows."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest

from ares.analysis.difficulty import figure4
from ares.cli import main
from ares.stats import Resampler
from ares.traces import figures
from ares.traces import sample as sampling
from ares.traces.measure import THRESHOLDS
from ares.traces.read import Trace, read_traces
from ares.traces.sample import PageSample
from tests.traces.conftest import made_up

OPTIONS = ["--percentile", "90", "--page-traces", "10"]


def run(capsys, path, out, *options) -> str:
    assert main(["analyze", str(path), "--out", str(out), *options]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The lines of a file, the file, the folder with its analysis, and what was said."""
    folder, lines = tmp_path_factory.mktemp("finished"), made_up(48, seed=2)
    path = folder / "made-up.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with redirect_stdout(io.StringIO()) as said:
        assert main(["analyze", str(path), "--out", str(folder / "out"), *OPTIONS]) == 0
    return lines, path, folder / "out", said.getvalue()


def test_everything_is_written_and_told(finished):
    lines, _, out, said = finished
    figures = {f"{name}.{ending}" for name in ("wordcloud", "difficulty")
               for ending in ("png", "pdf", "csv")}  # fmt: skip
    tables = {"tokens.parquet", "traces.csv", "traces.parquet", "index.html"}
    assert {path.name for path in out.iterdir()} == figures | tables
    traces = pd.read_parquet(out / "traces.parquet")
    tokens = pd.read_parquet(out / "tokens.parquet")
    assert len(traces) == 48 and len(tokens) == sum(len(line["tokens"]) for line in lines)
    assert traces["id"].tolist()[:2] == ["q0#0", "q0#1"]
    assert traces["hwe"].sum() == tokens["hwe"].sum()
    by_trace = tokens[tokens["hwe"] & (tokens["lexicon"] != "")].groupby("trace").size()
    assert traces.set_index("trace")["hwe_validated"].to_dict() == {
        number: by_trace.get(number, 0) for number in range(48)
    }
    assert f"48 traces, {len(tokens):,} tokens" in said and "exact as the file gives it" in said
    assert f"{tokens['hwe'].sum():,} (" in said
    assert f"page: {out / 'index.html'} (10 of 48 traces)" in said


def test_figure_4_has_the_numbers_of_the_analysis(finished):
    drawn = pd.read_csv(finished[2] / "difficulty.csv")
    table = pd.read_parquet(finished[2] / "traces.parquet").assign(
        problem_id=lambda t: t["problem"], bucket=lambda t: t["difficulty"],
        right=lambda t: t["correct"].astype(float), hwe_count=lambda t: t["hwe"],
        length=lambda t: t["n_tokens"].astype(float),
    )  # fmt: skip
    plain = Resampler(table["problem_id"], table["bucket"], 0, 0.95, 1)
    assert drawn["value"].tolist() == pytest.approx(figure4(table, plain)["value"], rel=1e-5)
    easy = table[(table["bucket"] == "easy") & table["correct"].astype(bool)]
    row = drawn.query("panel == 'iii' and difficulty == 'easy' and condition == 'right'")
    assert row["value"].item() == pytest.approx(easy["hwe"].mean(), rel=1e-5)
    assert row["rollouts"].item() == len(easy)


def test_many_questions_are_drawn_in_groups(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "UNITS", 2)
    table = figures._of_questions(finished[2] / "traces.parquet")
    groups = table.groupby("bucket", observed=True)["problem_id"]
    assert groups.nunique().tolist() == [2, 2, 2] and table["question"].nunique() == 12
    assert (table.groupby("question")["problem_id"].nunique() == 1).all()
    figures.draw_difficulty(finished[2] / "traces.parquet", tmp_path)
    one_by_one = pd.read_csv(finished[2] / "difficulty.csv")
    grouped = pd.read_csv(tmp_path / "difficulty.csv")
    assert grouped["value"].tolist() == one_by_one["value"].tolist()
    assert grouped["low"].tolist() != one_by_one["low"].tolist()


def test_correct_and_difficulty_of_different_traces_make_no_figure(tmp_path, write_traces, capsys):
    lines = made_up(8, seed=2)
    for number, line in enumerate(lines):
        line["correct" if number % 2 else "difficulty"] = None
    said = run(capsys, write_traces(lines), tmp_path / "out", "--page-traces", "0")
    assert "the file says correct and difficulty of different traces" in said


def test_what_can_not_be_drawn_is_said(tmp_path, write_traces, capsys):
    lines = [line | {"difficulty": None} for line in made_up(8, seed=2)]
    out = tmp_path / "out"
    said = run(capsys, write_traces(lines), out, "--page-traces", "0")
    assert "no figure of difficulty: the file does not say difficulty" in said
    assert not (out / "difficulty.png").exists() and not (out / "index.html").exists()
    numbers = [{"tokens": ["1", "2"], "entropy": [1.0, 2.0]}]
    said = run(capsys, write_traces(numbers), tmp_path / "numbers", "--window", "1")
    assert "the file does not say correct and difficulty" in said
    assert "no word cloud" in said and "no token is in the lexicon" in said


def test_what_is_not_listed_is_told(tmp_path, write_traces, capsys):
    half = np.log(0.5)
    line = {"tokens": [" so"] * 5, "top_logprobs": [{" so": half, " a": half - np.log(2)}] * 5}
    said = run(capsys, write_traces([line]), tmp_path / "out")
    assert "a lower bound in 1 traces, from the 2 most probable tokens" in said
    assert "the rest has 25.00% of the probability" in said
    assert f"at most {0.25 * np.log(150_000):.3f} nats more" in said


def test_standard_input_gives_the_same_as_the_file(tmp_path, finished, capsys, monkeypatch):
    _, path, out, _ = finished
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    run(capsys, "-", tmp_path, *OPTIONS)
    for name in ("tokens.parquet", "traces.csv", "difficulty.csv", "wordcloud.png"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_results_of_before_stay_when_a_file_is_broken(finished, write_traces, capsys):
    out = finished[2]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = write_traces(made_up(12, seed=3))
    broken.write_bytes(broken.read_bytes()[:-30])
    assert main(["analyze", str(broken), "--out", str(out)]) == 2
    assert "line 12" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([], [], "no trace in it"),
        ([{"tokens": [], "entropy": []}], [], "no value to rank"),
        ([{"tokens": ["a"], "entropy": [1.0]}], ["--page-traces", "-1"], "'--page-traces'"),
        ([{"tokens": ["a"], "entropy": [1.0]}], ["--percentile", "120"], "'--percentile'"),
        ([{"tokens": ["a"], "entropy": [1.0]}], ["--lexicon", "none.txt"], "can't read"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, write_traces, capsys, lines, options, message):
    path = write_traces(lines)
    assert main(["analyze", str(path), "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert message in said


def test_two_difficulties_of_one_question_are_refused(tmp_path, write_traces, capsys):
    lines = made_up(8, seed=2)
    lines[1]["difficulty"] = "hard"
    assert main(["analyze", str(write_traces(lines)), "--out", str(tmp_path / "out")]) == 2
    assert "made up/q0: traces of one id have two difficulties" in capsys.readouterr().err


def test_the_command_lists_the_thresholds_there_are(capsys):
    assert main(["analyze", "none.jsonl", "--threshold", "other"]) == 2
    told = capsys.readouterr().err
    assert [name for name in THRESHOLDS if f"'{name}'" not in told] == []


def sampled(number: int, wanted: int, tokens: int = 3) -> list[int]:
    """Rows shown of a file with one easy, wrong trace in ten; the others are hard and right."""
    sample = PageSample(wanted)
    for row in range(number):
        rare = row % 10 == 0
        entropy = np.ones(tokens, np.float32)
        kind = {"correct": not rare, "difficulty": "easy" if rare else "hard"}
        sample.add(row, Trace(str(row), "", ["a"] * tokens, entropy, entropy, **kind))
    return [packed.number for packed in sample.chosen()]


def test_the_page_shows_every_kind_evenly():
    shown = sampled(1000, 20)
    rare = [row for row in shown if row % 10 == 0]
    assert len(shown) == 20 and len(rare) == 10 and shown == sorted(shown)
    assert min(rare) < 150 and max(rare) > 800 and np.diff(rare).max() <= 200
    assert sampled(15, 20) == list(range(15))
    assert sampled(15, 0) == []
    # Two of a rare kind leave their share to the others.
    assert len(sampled(20, 12)) == 12 and [r for r in sampled(20, 12) if r % 10 == 0] == [0, 10]


def test_the_page_and_the_memory_for_it_are_bounded(monkeypatch):
    monkeypatch.setattr(sampling, "PAGE_TOKENS", 100)
    assert len(sampled(200, 50, tokens=10)) == 10
    monkeypatch.setattr(sampling, "TRACE_TOKENS", 40)
    assert len(sampled(5, 50, tokens=400)) == 2


def test_a_long_trace_is_cut_on_the_page_and_says_so(tmp_path, write_traces, capsys, monkeypatch):
    monkeypatch.setattr(sampling, "TRACE_TOKENS", 5)
    line = {"tokens": [" so"] * 9, "entropy": [1.0] * 9}
    run(capsys, write_traces([line]), tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert data["traces"][0]["cut_from"] == 9 and len(data["traces"][0]["tokens"]) == 5
    assert len(pd.read_parquet(tmp_path / "out" / "tokens.parquet")) == 9


def test_choices_on_the_page_are_those_of_the_file(tmp_path, write_traces, capsys):
    tops = [{" so": -0.5, " a": -1.0, "rare": -9.0}, {" so": -0.001}, {" so": -0.7, " b": -0.8}]
    path = write_traces([{"tokens": [" so"] * 3, "top_logprobs": tops}])
    run(capsys, path, tmp_path / "out", "--window", "1")
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    so, a, b = (data["words"].index(word) for word in (" so", " a", " b"))
    assert data["traces"][0]["choices"] == [0, so, 50, 0, a, 100, 2, so, 70, 0, b, 80]
    (trace,) = read_traces(path)
    assert data["traces"][0]["entropy"] == np.rint(1000 * trace.entropy.astype(float)).tolist()
