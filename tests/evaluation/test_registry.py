"""Registries: what the paper's holds, how one's own adds to it, and what is refused."""

import runpy
from typing import get_args

import pandas as pd
import pytest

from ares import paths
from ares.errors import UserError
from ares.evaluation.metrics import METRICS
from ares.evaluation.registry import REGISTRY, Benchmark, load_registry
from ares.evaluation.steps import CHOICE_STEPS, TEXT_STEPS

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


def test_settings_code_and_page_know_the_same_metrics_and_steps():
    assert get_args(Benchmark.model_fields["metric"].annotation) == tuple(METRICS)
    script = runpy.run_path(str(paths.ROOT / "docs/benchmarks_table.py"))
    text = script["PAGE"].read_text(encoding="utf-8")
    assert text == script["renewed"](text)
    assert [step for step in (*TEXT_STEPS, *CHOICE_STEPS) if f"`{step}`" not in text] == []


def test_a_file_of_ones_own_adds_to_the_papers_and_can_use_its_templates(tmp_path):
    found = load_registry(REGISTRY, own(tmp_path))
    assert list(found) == [*load_registry(), "own"]
    assert found["own"].path == str(tmp_path / "own.jsonl")
    assert found["own"].columns.id == ("@row",)
    by_name = OWN.replace('"{question}"', "boxed")
    assert load_registry(REGISTRY, own(tmp_path, by_name))["own"].prompt.startswith(
        "{question}\n\n"
    )
    anew = "prompts: {boxed: 'Now: {question}'}\n" + by_name
    found = load_registry(REGISTRY, own(tmp_path, anew))
    assert found["own"].prompt == "Now: {question}"
    assert found["AIME24"].prompt.startswith("{question}\n\n")


def test_entries_can_be_like_others_or_read_from_a_file(tmp_path):
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
    found = load_registry(local={"MMMU-Pro": tmp_path})["MMMU-Pro"]
    assert (found.hub, found.path) == ("", str(tmp_path))
    assert found.config == ("standard (10 options)",)
    with pytest.raises(UserError, match=r"'MMMU-pro'; did you mean 'MMMU-Pro'\?"):
        load_registry(local={"MMMU-pro": tmp_path})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("answer: number", "anser: number"), "own: unknown key 'anser'; did you mean 'answer'?"),
        (("    answer: number\n", ""), "missing key 'answer'"),
        (("path: own.jsonl", "split: test"), "own: give either 'hub' or 'path'"),
        (('prompt: "{question}"', "prompt: boxt"), "prompt: unknown template 'boxt'"),
        (("answer: number", "answer: number\n    steps: {answer: [boxd]}"), "'boxed if any'"),
        (("answer: a}", "answer: a, tags: {status: x}}"), "the tag 'status' has the name"),
        (("answer: a}", "answer: a, trace: [x, y, z]}"), "trace: one column, or two"),
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
    for text in ("", "benchmarks: {own: 3}", "benchmarks: ["):
        with pytest.raises(UserError, match=r"own\.yaml"):
            load_registry(own(tmp_path, text))
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read"):
        load_registry(tmp_path / "none.yaml")
