"""Registries: what the paper's holds, how one's own adds to it, and what is refused."""

from __future__ import annotations

import runpy
from typing import get_args

import pandas as pd
import pytest

from ares import paths
from ares.errors import UserError
from ares.evaluation.metrics import METRICS
from ares.evaluation.registry import REGISTRY, Benchmark, load_registry
from ares.evaluation.steps import CHOICE_STEPS, TEXT_STEPS
from tests.evaluation.standins import TRAINING_DATA

PAPER = [
    *("MathVerse-V", "MathVision", "MathVista", "DynaMath-W", "WeMath-S", "LogicVista"),
    *("MMMU", "MMMU-Pro", "CharXiv", "MMStar"),
    *("AIME24", "AIME25", "MATH500", "MMLU-Pro", "BBEH", "GPQA", "GSM8K", "OlympiadBench"),
]
OWN = """
benchmarks:
  own:
    path: own.jsonl
    columns: {question: q, answer: a}
    answer: number
    prompt: "{question}"
"""


def own(tmp_path, text=OWN, name="own.yaml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def reported() -> pd.DataFrame:
    names = ("table2_multimodal", "table3_text", "table4_accuracy_length", "table5_ablation")
    return pd.concat(pd.read_csv(paths.DATA / "paper" / f"{name}.csv") for name in names)


def test_the_registry_holds_the_benchmarks_of_the_papers_tables():
    tables, found = reported(), load_registry()
    assert list(found)[: len(PAPER)] == PAPER
    assert {found[name].paper for name in PAPER} == set(tables["benchmark"]) - {"Avg"}
    for benchmark in found.values():
        rows = tables[tables["benchmark"] == benchmark.paper]
        assert {f"Table {number}" for number in benchmark.tables} == set(rows["source"])
        assert set(rows["level"].dropna()) == ({benchmark.level} if benchmark.level else set())


def could_be(score: float, whole: int) -> bool:
    """Whether a score given to one decimal can be a multiple of 1/whole."""
    count = round(score * whole / 100)
    return any(abs(100 * n / whole - score) <= 0.05 + 1e-9 for n in (count - 1, count, count + 1))


@pytest.mark.parametrize(
    ("paper", "whole", "possible"),
    [
        ("GPQA", 198, 17),  # diamond
        ("GPQA", 448, 6),  # main
        ("MathVision", 3040, 17),  # test
        ("MathVision", 304, 5),  # testmini
        ("WeMath", 1050, 17),  # strict score: halves of 525 problems
        ("WeMath", 525, 10),
        ("BBEH", 4520, 17),
        ("BBEH", 460, 8),  # mini
        ("AIME24", 30, 15),  # one sample
        ("AIME25", 30, 14),
        ("AIME24", 480, 17),  # sixteen
    ],
)
def test_which_subsets_the_papers_scores_can_come_of(paper, whole, possible):
    table = reported()
    scores = table[(table["benchmark"] == paper) & table["source"].isin(["Table 2", "Table 3"])]
    assert len(scores) == 17
    assert sum(could_be(score, whole) for score in scores["accuracy"]) == possible


def test_training_sources_have_the_names_of_table_1():
    names = set(pd.read_csv(paths.DATA / "paper/table1_cold_start_sources.csv")["dataset"])
    sources = load_registry(TRAINING_DATA)
    assert {source.paper for source in sources.values()} < names
    assert [name for name, source in sources.items() if source.columns.trace] == [
        *("am-thinking-v1", "openthoughts", "deepmath", "openr1", "limo", "s1k"),
        *("megascience", "openmathreasoning", "numinamath-cot"),
    ]


def test_what_the_entry_of_a_benchmark_says():
    found = load_registry()["AIME25"]
    assert found.source == "math-ai/aime25@563bb8404243c5f09de6ec262f2db674fe5bce9b"
    assert (found.metric, found.samples, found.level) == ("average@k", 16, "hard")
    assert found.prompt == (
        "{question}\n\nThink first, between <think> and </think>. Then give the final answer, for "
        "a multiple-choice question its letter, in \\boxed{}."
    )
    assert load_registry()["MathVerse-V"].keep == {"problem_version": ("Vision Only",)}
    assert len(load_registry()["DynaMath-W"].split) == 10


def test_settings_and_code_know_the_same_metrics():
    assert get_args(Benchmark.model_fields["metric"].annotation) == tuple(METRICS)


def test_the_page_shows_the_registry_and_every_step():
    script = runpy.run_path(str(paths.ROOT / "docs/benchmarks_table.py"))
    text = script["PAGE"].read_text(encoding="utf-8")
    assert text == script["renewed"](text)
    assert [step for step in (*TEXT_STEPS, *CHOICE_STEPS) if f"`{step}`" not in text] == []


def test_a_file_of_ones_own_adds_to_the_papers(tmp_path):
    found = load_registry(REGISTRY, own(tmp_path))
    assert list(found) == [*load_registry(), "own"]
    assert found["own"].path == str(tmp_path / "own.jsonl")
    assert found["own"].columns.id == ("@row",)


def test_templates_can_be_taken_from_an_earlier_file_and_named_anew(tmp_path):
    by_name = OWN.replace('"{question}"', "boxed")
    assert load_registry(REGISTRY, own(tmp_path, by_name))["own"].prompt.startswith(
        "{question}\n\n"
    )
    anew = "prompts: {boxed: 'Now: {question}'}\n" + by_name
    found = load_registry(REGISTRY, own(tmp_path, anew))
    assert found["own"].prompt == "Now: {question}"
    assert found["AIME24"].prompt.startswith("{question}\n\n")


def test_an_entry_can_be_like_another_one(tmp_path):
    text = """
benchmarks:
  here: {like: DynaMath-W, path: variants}
  there: {like: AIME24, hub: other/aime, samples: 4}
"""
    found = load_registry(REGISTRY, own(tmp_path, text))
    here, there = found["here"], found["there"]
    assert (here.hub, here.path, len(here.split)) == ("", str(tmp_path / "variants"), 10)
    assert (here.metric, here.columns) == ("worst", found["DynaMath-W"].columns)
    assert (there.source, there.split, there.samples) == ("other/aime@main", ("train",), 4)


def test_a_registered_benchmark_can_be_read_from_a_file(tmp_path):
    found = load_registry(local={"MMMU-Pro": tmp_path})["MMMU-Pro"]
    assert (found.hub, found.path) == ("", str(tmp_path))
    assert found.config == ("standard (10 options)",)
    with pytest.raises(UserError, match=r"'MMMU-pro'; did you mean 'MMMU-Pro'\?"):
        load_registry(local={"MMMU-pro": tmp_path})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("answer: number", "anser: number"), "own: unknown key 'anser'; did you mean 'answer'?"),
        (("{question: q,", "{qestion: q,"), "unknown key 'columns.qestion'; did you mean"),
        (("answer: number", "answer: nummer"), "answer: 'nummer' must be 'number', 'expression'"),
        (("    answer: number\n", ""), "missing key 'answer'"),
        (("path: own.jsonl", "split: test"), "own: give either 'hub' or 'path'"),
        (("path: own.jsonl", "path: own.jsonl\n    hub: a/b"), "own: give either 'hub' or 'path'"),
        (("path: own.jsonl", "hub: no-owner"), "hub: 'no-owner' String should match pattern"),
        (('prompt: "{question}"', "prompt: boxt"), "prompt: unknown template 'boxt'"),
        (("answer: number", "answer: number\n    steps: {answer: [boxd]}"), "unknown step 'boxd'"),
        (("answer: number", "answer: number\n    steps: {choices: boxed}"), "unknown step 'boxed'"),
        (("answer: number", "answer: number\n    samples: 0"), "samples: 0 must be greater"),
        (("answer: a}", "answer: a, tags: {status: x}}"), "the tag 'status' has the name"),
        (("answer: a}", "answer: a, trace: [x, y, z]}"), "trace: one column, or two"),
        (("benchmarks:", "benchmark:"), "unknown key 'benchmark'; did you mean 'benchmarks'?"),
        (("  own:", "  own: {}\n  own:"), 'line 4: found duplicate key "own"'),
        (("  own:\n    path", "  own:\n    like: owl\n    path"), "like: unknown benchmark 'owl'"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, change, message):
    with pytest.raises(UserError) as caught:
        load_registry(own(tmp_path, OWN.replace(*change)))
    assert message in str(caught.value)
    assert "own.yaml" in str(caught.value)


def test_a_name_twice_and_files_that_are_no_registry(tmp_path):
    with pytest.raises(UserError, match=r"b\.yaml: 'own' is there already"):
        load_registry(own(tmp_path), own(tmp_path, name="b.yaml"))
    for text in ("", "just words", "benchmarks: {own: 3}", "benchmarks: [", "a: &a [*a]"):
        with pytest.raises(UserError, match=r"own\.yaml"):
            load_registry(own(tmp_path, text))
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read"):
        load_registry(tmp_path / "none.yaml")
