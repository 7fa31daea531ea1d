"""The command: what it writes, what it says, and which traces its page shows."""

import io
from contextlib import redirect_stdout
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from ares.analysis.difficulty import figure4
from ares.cli import main
from ares.errors import UserError
from ares.plotting import FONT
from ares.stats import Resampler
from ares.tables import form_of
from ares.traces import Threshold, page
from ares.traces.figures import draw_words
from ares.traces.read import read_traces
from tests.traces.conftest import analysed, data_of, made_up, written

OPTIONS = ["--percentile", "90", "--page-traces", "10"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The lines of a file, the folder with its analysis, and what was said."""
    folder, lines = tmp_path_factory.mktemp("finished"), made_up(48, seed=2)
    with redirect_stdout(io.StringIO()) as said:
        out = analysed(folder, *lines, options=OPTIONS)
    return lines, out, said.getvalue()


def test_everything_is_written_and_told(finished):
    lines, out, said = finished
    drawn = {f"{name}.{ending}" for name in ("wordcloud", "difficulty")
             for ending in ("png", "pdf", "csv")}  # fmt: skip
    tables = {"tokens.parquet", "traces.csv", "traces.parquet", "index.html"}
    assert {path.name for path in out.iterdir()} == drawn | tables
    tokens, traces = (pd.read_parquet(out / f"{name}.parquet") for name in ("tokens", "traces"))
    for name, table in {"tokens": tokens, "traces": traces}.items():
        assert list(table) == list(form_of(name, "traces").columns)
    assert pd.read_csv(out / "traces.csv")["hwe"].tolist() == traces["hwe"].tolist()
    assert len(traces) == 48 and len(tokens) == sum(len(line["tokens"]) for line in lines)
    assert traces["id"].tolist()[:2] == ["q0#0", "q0#1"]
    assert traces["hwe"].sum() == tokens["hwe"].sum()
    by_trace = tokens[tokens["hwe"] & tokens["lexicon"]].groupby("rollout_id").size()
    assert traces["hwe_validated"].tolist() == by_trace.reindex(range(48), fill_value=0).tolist()
    for told in (
        f"48 traces, {len(tokens):,} tokens",
        "exact as the file gives it",
        f"{tokens['hwe'].sum():,} (",
        f"page: {out / 'index.html'} (10 of 48 traces)",
    ):
        assert told in said


def test_figure_4_has_the_numbers_of_the_analysis(finished):
    drawn = pd.read_csv(finished[1] / "difficulty.csv")
    table = pd.read_parquet(finished[1] / "traces.parquet").assign(
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


HALF = np.log(0.5)


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        (
            [
                line | {("correct", "difficulty")[n % 2]: None}
                for n, line in enumerate(made_up(8, 2))
            ],
            [],
            ["correct and difficulty of different traces"],
        ),
        (
            [{"tokens": ["1", "2"], "entropy": [1.0, 2.0]}],
            ["--window", "1"],
            ["does not say correct and difficulty", "no word cloud"],
        ),
        (
            [{"tokens": [" so"] * 5, "top_logprobs": [{" so": HALF, " a": HALF - np.log(2)}] * 5}],
            [],
            ["a lower bound in 1 traces", "the rest has 25.00% of the probability"],
        ),
    ],
)
def test_what_is_missing_is_told(tmp_path, capsys, lines, options, told):
    out = analysed(tmp_path, *lines, options=["--page-traces", "0", *options])
    said = capsys.readouterr().out
    assert [text for text in told if text not in said] == []
    assert not (out / "difficulty.png").exists() and not (out / "index.html").exists()


def test_results_of_before_stay_when_a_file_is_broken(finished, tmp_path, capsys):
    out = finished[1]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = written(tmp_path, *made_up(12, seed=3))
    broken.write_bytes(broken.read_bytes()[:-30])
    assert main(["analyze", str(broken), "--out", str(out)]) == 2
    assert "line 12" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


ONE = {"tokens": ["a"], "entropy": [1.0]}


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([{"tokens": [], "entropy": []}], [], "no value to rank"),
        ([ONE], ["--page-traces", "-1"], "'--page-traces'"),
        ([ONE], ["--lexicon", "none.txt"], "can't read"),
        ([ONE | {"id": "q", "difficulty": d, "correct": True} for d in ("easy", "hard")],
         ["--window", "1"], "/q: traces of one id have two difficulties"),
        *([[ONE], ["--threshold", "other"], f"'{name}'"] for name in get_args(Threshold)),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(tmp_path, capsys, lines, options, message):
    path = written(tmp_path, *lines)
    assert main(["analyze", str(path), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def chosen(number: int, wanted: int, tokens: int = 3) -> list[int]:
    """Rows shown of a file with one easy, wrong trace in ten; the others are hard and right."""
    rare = np.arange(number) % 10 == 0
    rows = {"difficulty": np.where(rare, "easy", "hard"), "correct": ~rare, "n_tokens": tokens}
    return page.chosen(pd.DataFrame(rows), wanted).tolist()


def test_the_page_shows_every_kind_evenly_is_bounded_and_says_what_is_cut(tmp_path, monkeypatch):
    shown = chosen(1000, 20)
    rare = [row for row in shown if row % 10 == 0]
    assert len(shown) == 20 and len(rare) == 10 and shown == sorted(shown)
    assert min(rare) < 150 and max(rare) > 800 and np.diff(rare).max() <= 200
    assert chosen(15, 20) == list(range(15))
    # Two of a rare kind leave their share to the others.
    assert len(chosen(20, 12)) == 12 and [r for r in chosen(20, 12) if r % 10 == 0] == [0, 10]
    monkeypatch.setattr(page, "PAGE_TOKENS", 100)
    assert len(chosen(200, 50, tokens=10)) == 10
    monkeypatch.setattr(page, "TRACE_TOKENS", 5)
    assert len(chosen(50, 50, tokens=400)) == 20
    out = analysed(tmp_path, {"tokens": [" so"] * 9, "entropy": [1.0] * 9})
    (trace,) = data_of(out)["traces"]
    assert trace["cut_from"] == 9 and len(trace["tokens"]) == 5
    assert len(pd.read_parquet(out / "tokens.parquet")) == 9


def test_choices_on_the_page_are_those_of_the_file(tmp_path):
    tops = [{" so": -0.5, " a": -1.0, "rare": -9.0}, {" so": -0.001}, {" so": -0.7, " b": -0.8}]
    line = {"tokens": [" so"] * 3, "top_logprobs": tops}
    data = data_of(analysed(tmp_path, line, options=["--window", "1"]))
    (shown,) = data["traces"]
    words = {
        place: [(data["words"][word], probability) for word, probability in listed]
        for place, listed in shown["choices"].items()
    }
    assert words == {
        "0": [(" so", 0.607), (" a", 0.368)],
        "2": [(" so", 0.497), (" b", 0.449)],
    }
    (trace,) = read_traces(tmp_path / "traces.jsonl")
    assert shown["entropy"] == np.rint(1000 * trace.entropy.astype(float)).tolist()


def test_words_without_letters_in_the_font_are_no_boxes(tmp_path):
    words = pd.DataFrame({"word": ["wait", "等因"], "high": [2, 1], "category": ["", ""]})
    told = draw_words(words, 95, tmp_path, FONT)
    assert told == "1 of 2 words are not drawn: DejaVuSans.ttf lacks their letters"
    assert (tmp_path / "wordcloud.png").is_file()
    none = draw_words(words[1:], 95, tmp_path / "none", FONT)
    assert "has the letters of no word" in none and not (tmp_path / "none").exists()
    (tmp_path / "font.ttf").write_bytes(b"none")
    with pytest.raises(UserError, match=r"font\.ttf: can't be read as a font"):
        draw_words(words, 95, tmp_path, tmp_path / "font.ttf")
